//! Group window functions.

use sqlparser::ast::Query;

use crate::error::Result;

pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    let _ = query;
    Ok(())
}
