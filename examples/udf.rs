//! A function of one's own, as a DataFusion `ScalarUDF`: once registered, it is SQL like any other.
//!
//!     cargo run --example udf

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use tidemill::engine::{Control, Engine};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().function(mask()).build();
    engine
        .run_script(
            "CREATE TABLE payments (card VARCHAR, amount DOUBLE)
             WITH (connector = 'filesystem', path = 'queries/data/payments.jsonl', format = 'json');
             CREATE MATERIALIZED VIEW cards AS
             SELECT mask(card) AS card, count(*) AS payments, round(sum(amount), 2) AS spent
             FROM payments GROUP BY mask(card);",
        )
        .await?;
    engine.run(&Control::new(), &mut |_| {}).await?;
    let rows = engine.query("SELECT * FROM cards ORDER BY spent DESC LIMIT 3").await?;
    println!("{}", pretty_format_batches(&rows)?);
    Ok(())
}

/// `mask('4002')` is `**02`.
fn mask() -> ScalarUDF {
    let mask = |text: &str| {
        let hidden = text.chars().count().saturating_sub(2);
        "*".repeat(hidden) + &text.chars().skip(hidden).collect::<String>()
    };
    create_udf(
        "mask",
        vec![DataType::Utf8],
        DataType::Utf8,
        // The same text always gives the same answer, so the planner may compute it once.
        Volatility::Immutable,
        Arc::new(move |args: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(args)?;
            let masked: StringArray = arrays[0].as_string::<i32>().iter().map(|text| text.map(mask)).collect();
            Ok(ColumnarValue::Array(Arc::new(masked) as ArrayRef))
        }),
    )
}
