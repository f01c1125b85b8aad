//! PostgreSQL's templates of dates and times (`YYYY-MM-DD HH24:MI:SS`) → patterns as Java writes them.

use datafusion::common::{Result, exec_err};

/// Fields of a template, longer ones first, and what they are in a pattern.
const FIELDS: &[(&str, &str)] = &[
    ("YYYY", "yyyy"),
    ("HH24", "HH"),
    ("HH12", "hh"),
    ("FMMonth", "MMMM"),
    ("FMDay", "EEEE"),
    ("FMMM", "M"),
    ("FMDD", "d"),
    ("FMHH24", "H"),
    ("FMHH12", "h"),
    ("FMMI", "m"),
    ("FMSS", "s"),
    ("DDD", "DDD"),
    ("Mon", "MMM"),
    ("YY", "yy"),
    ("MM", "MM"),
    ("DD", "dd"),
    ("HH", "hh"),
    ("MI", "mm"),
    ("SS", "ss"),
    ("MS", "SSS"),
    ("US", "SSSSSS"),
    ("FF3", "SSS"),
    ("FF6", "SSSSSS"),
    ("Dy", "EEE"),
    ("AM", "a"),
    ("PM", "a"),
    ("OF", "XXX"),
    ("Q", "Q"),
];

/// Whether a pattern is one of PostgreSQL's: Java has no letter Y, and no HH24 and MI.
fn is_template(pattern: &str) -> bool {
    !pattern.contains('%') && ["YY", "HH24", "HH12", "MI", "Mon", "Dy"].iter().any(|field| pattern.contains(field))
}

/// What is a template as a pattern; anything else as it is.
pub(super) fn pattern_of_any(text: &str) -> Result<String> {
    if is_template(text) { pattern_of(text) } else { Ok(text.to_owned()) }
}

/// A template as a pattern.
fn pattern_of(template: &str) -> Result<String> {
    let mut pattern = String::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            pattern.push_str(&format!("'{}'", quoted[..end].replace('\'', "''")));
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        // Lower case means the same, but for names of months and days, whose case is theirs.
        let upper = |field: &str| rest.get(..field.len()).is_some_and(|head| head.eq_ignore_ascii_case(field));
        let exact = |field: &str| rest.starts_with(field);
        let named = |field: &str| field.contains(|c: char| c.is_lowercase());
        let mut fields: Vec<_> = FIELDS.iter().filter(|(f, _)| if named(f) { exact(f) } else { upper(f) }).collect();
        fields.sort_by_key(|(field, _)| std::cmp::Reverse(field.len()));
        match fields.first() {
            Some((field, java)) => {
                pattern.push_str(java);
                rest = &rest[field.len()..];
            }
            None if first.is_ascii_alphabetic() && first != 'T' => {
                return exec_err!(
                    "the template '{template}' has a field at '{rest}' that is not known: known are YYYY YY MM Mon FMMonth DD DDD Dy FMDay \
                     HH24 HH12 MI SS MS US AM Q OF; other text stands in double quotes"
                );
            }
            None => {
                let literal = if first == 'T' { "'T'".to_owned() } else { first.to_string() };
                pattern.push_str(&literal);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        assert_eq!(pattern_of("YYYY-MM-DD HH24:MI:SS.MS").unwrap(), "yyyy-MM-dd HH:mm:ss.SSS");
        assert_eq!(pattern_of("dd Mon yyyy").unwrap(), "dd MMM yyyy");
        assert_eq!(pattern_of("YYYY-MM-DDTHH24:MI").unwrap(), "yyyy-MM-dd'T'HH:mm");
        assert_eq!(pattern_of("HH12:MI AM \"o'clock\"").unwrap(), "hh:mm a 'o''clock'");
        assert!(pattern_of("YYYY week WW").is_err());
        assert!(is_template("YYYY") && !is_template("yyyy-MM-dd") && !is_template("%Y HH24"));
    }
}
