//! Functions that are an expression of others: `standard.sql`, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::catalog::macros::SqlFunction;
use crate::sql::Statement;

/// The functions, by name.
pub(in crate::catalog) fn functions() -> &'static BTreeMap<String, SqlFunction> {
    static FUNCTIONS: LazyLock<BTreeMap<String, SqlFunction>> = LazyLock::new(|| read(include_str!("standard.sql")));
    &FUNCTIONS
}

/// What does not parse is left out, which a test finds.
fn read(script: &str) -> BTreeMap<String, SqlFunction> {
    let parsed = crate::sql::parse(script).unwrap_or_default();
    let function = |statement: Statement| match statement {
        Statement::CreateFunction(create) => SqlFunction::new(&create).ok(),
        _ => None,
    };
    let functions = parsed.into_iter().filter_map(|parsed| function(parsed.statement));
    functions.map(|function| (function.name().to_owned(), function)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_read() {
        let script = include_str!("standard.sql");
        crate::sql::parse(script).unwrap();
        assert_eq!(functions().len(), script.matches("CREATE FUNCTION").count());
    }
}
