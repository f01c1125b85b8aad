//! A function that panics fails its query; the engine and the other queries go on.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use tidemill::engine::Engine;

#[tokio::test]
async fn a_panic_fails_its_query_and_no_other() {
    let panics = Arc::new(|args: &[ColumnarValue]| {
        assert!(matches!(&args[0], ColumnarValue::Array(a) if a.len() < 2), "two rows are too many");
        Ok(args[0].clone())
    });
    let fragile = create_udf("fragile", vec![DataType::Int64], DataType::Int64, Volatility::Volatile, panics);
    let engine = Engine::builder().function(fragile).inline_sources().build();
    let batch = |rows: Vec<i64>| {
        let a: ArrayRef = Arc::new(Int64Array::from(rows));
        RecordBatch::try_from_iter([("a", a)]).expect("one column")
    };
    let table = engine.push_table("t", batch(vec![]).schema()).create().expect("a table");
    let views = "CREATE MATERIALIZED VIEW weak AS SELECT fragile(a) AS a FROM t;
                 CREATE MATERIALIZED VIEW strong AS SELECT count(*) AS n FROM t;";
    engine.run_script(views).await.expect("views");
    table.push_to(0, batch(vec![1])).expect("pushed");
    engine.step().await.expect("one row is fine");
    table.push_to(0, batch(vec![2, 3])).expect("pushed");
    let error = engine.step().await.expect_err("the query fails");
    assert!(error.to_string().contains("two rows are too many"), "{error}");
    table.push_to(0, batch(vec![4])).expect("pushed");
    engine.step().await.expect("the engine goes on");
    let rows = crate::rows::of_batches(&engine.query("SELECT n FROM strong").await.expect("the other view"));
    assert_eq!(rows, [["4"]]);
    let kept = crate::rows::of_batches(&engine.query("SELECT a FROM weak").await.expect("as it was"));
    assert_eq!(kept, [["1"]], "the interval that failed left no trace");
}
