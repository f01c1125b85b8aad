//! Keys of groups in the one form that equal keys have.
//!
//! SQL holds 0.0 and -0.0 equal, and DataFusion's groups do; the state tables compare encoded bytes. Without this a group would
//! be looked up under one of its two forms and kept under the other.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};

/// A key column with -0.0 as 0.0.
pub(super) fn canonical(key: ArrayRef) -> ArrayRef {
    match key.data_type() {
        // Adding positive zero turns -0.0 into 0.0 and leaves everything else as it is.
        DataType::Float64 => Arc::new(key.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| v + 0.0)),
        DataType::Float32 => Arc::new(key.as_primitive::<Float32Type>().unary::<_, Float32Type>(|v| v + 0.0)),
        DataType::Float16 => Arc::new(
            key.as_primitive::<Float16Type>()
                .unary::<_, Float16Type>(|v| if v.to_bits() << 1 == 0 { Default::default() } else { v }),
        ),
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Float64Array};

    use super::*;

    #[test]
    fn zeros_are_one_key() {
        let key =
            canonical(Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.0), None, Some(-1.5), Some(f64::NAN)])));
        let key = key.as_primitive::<Float64Type>();
        assert_eq!(key.value(0).to_bits(), 0.0f64.to_bits());
        assert_eq!(key.value(1).to_bits(), 0.0f64.to_bits());
        assert_eq!(key.value(3).to_bits(), (-1.5f64).to_bits());
        assert_eq!(key.value(4).to_bits(), f64::NAN.to_bits());
        assert_eq!(key.nulls().map(|n| n.null_count()), Some(1));
    }
}
