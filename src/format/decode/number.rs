//! Numbers from their decimal text, exactly: integers, decimals of a given scale, and never a silent overflow.

/// An integer, also in the forms `5.0` and `5e3`; `None` when it is none or does not fit.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text.as_bytes());
    if digits.is_empty() {
        return None;
    }
    // 18 digits always fit.
    if digits.len() <= 18 {
        let mut value = 0_i64;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return parse_decimal(text, 0, Excess::Refuse).and_then(|v| i64::try_from(v).ok());
            }
            value = value * 10 + i64::from(digit - b'0');
        }
        return Some(if negative { -value } else { value });
    }
    parse_decimal(text, 0, Excess::Refuse).and_then(|v| i64::try_from(v).ok())
}

/// What to do with digits beyond the scale.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Excess {
    /// The text is then no such number.
    Refuse,
    /// Half away from zero, as SQL rounds decimals.
    Round,
    /// Towards minus infinity, as time is cut.
    Floor,
}

/// A decimal number times 10^scale; `None` when it is none or does not fit 38 digits.
pub(super) fn parse_decimal(text: &str, scale: i32, excess: Excess) -> Option<i128> {
    let (negative, rest) = sign(text.as_bytes());
    let mantissa_end = rest.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(rest.len());
    let (mantissa, exponent) = rest.split_at(mantissa_end);
    let exponent = match exponent.split_first() {
        None => 0_i32,
        Some((_, digits)) => std::str::from_utf8(digits).ok()?.parse().ok()?,
    };
    let point = mantissa.iter().position(|b| *b == b'.');
    let fraction = point.map_or(0, |p| mantissa.len() - p - 1) as i32;
    let digits = mantissa.len() - usize::from(point.is_some());
    if digits == 0 {
        return None;
    }
    // The value is the digits times 10^shift, in units of 10^-scale.
    let shift = exponent.checked_sub(fraction)?.checked_add(scale)?;
    let dropped = usize::try_from(-i64::from(shift).min(0)).unwrap_or(0);
    let kept = digits.saturating_sub(dropped);
    let (mut value, mut seen, mut half, mut rest_nonzero) = (0_i128, 0_usize, false, false);
    for byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                let digit = byte - b'0';
                if seen < kept {
                    value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
                } else {
                    // The first dropped digit decides the rounding only when nothing lies between it and the kept ones.
                    half |= seen == kept && dropped <= digits && digit >= 5;
                    rest_nonzero |= digit != 0;
                }
                seen += 1;
            }
            b'.' => {}
            _ => return None,
        }
    }
    // More than one point.
    if seen != digits {
        return None;
    }
    if rest_nonzero {
        match excess {
            Excess::Refuse => return None,
            Excess::Round => value += i128::from(half),
            Excess::Floor => value += i128::from(negative),
        }
    }
    if shift > 0 && value != 0 {
        value = value.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    }
    Some(if negative { -value } else { value })
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        assert_eq!(parse_int("-42"), Some(-42));
        assert_eq!(parse_int("9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_int("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_int("9223372036854775808"), None);
        assert_eq!(parse_int("5.0"), Some(5));
        assert_eq!(parse_int("1.2e1"), Some(12));
        assert_eq!(parse_int("0e999999999"), Some(0));
        for wrong in ["5.5", "1e999", "", "-", "x", "1-2", "1.2.3", "1e", "1e99999999999", "0x10", " 1"] {
            assert_eq!(parse_int(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn decimals_round_half_away_from_zero() {
        let round = |text| parse_decimal(text, 2, Excess::Round);
        assert_eq!(round("1.005"), Some(101));
        assert_eq!(round("-1.005"), Some(-101));
        assert_eq!(round("1.0049999"), Some(100));
        assert_eq!(round("0.004"), Some(0));
        assert_eq!(round("0.0009"), Some(0));
        assert_eq!(round("9e-3"), Some(1));
        assert_eq!(round("9e-4"), Some(0));
        assert_eq!(round("12345e-3"), Some(1235));
        assert_eq!(round("1e3"), Some(100_000));
        assert_eq!(round("1e40"), None);
        assert_eq!(round("99999999999999999999999999999999999999999"), None);
        assert_eq!(parse_decimal("-0.5", 0, Excess::Floor), Some(-1));
    }
}
