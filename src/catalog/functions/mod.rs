//! placeholder

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// all
pub fn all() -> Vec<Arc<ScalarUDF>> {
    Vec::new()
}
