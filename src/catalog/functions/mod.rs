//! SQL functions that people bring from Flink, Spark and Hive and that DataFusion lacks, or has under the name but with
//! another meaning.
//!
//! [`all`] is to be registered after DataFusion's own, as some take a name over: `date_format` (DataFusion's takes strftime
//! patterns only; ours takes those too), `from_unixtime` (a text, as everywhere else), `to_timestamp` and `to_date` (Java
//! patterns too). One file per family. NULL in, NULL out, unless a function says otherwise.

mod arguments;
mod calendar;
mod choice;
mod fields;
mod modulo;
mod moments;
mod parse;
mod pattern;
mod regexp;
pub(super) mod standard;
mod sum;
mod template;
mod text;
mod write;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Classes of functions that other engines' queries name in `CREATE FUNCTION … AS 'class'`, and the functions that they are.
const CLASSES: &[(&str, &str)] = &[
    ("com.github.nexmark.flink.udf.CountChar", "count_char"),
    ("org.apache.hadoop.hive.ql.udf.UDFHour", "hour"),
    ("org.apache.hadoop.hive.ql.udf.UDFMinute", "minute"),
    ("org.apache.hadoop.hive.ql.udf.UDFSecond", "second"),
    ("org.apache.hadoop.hive.ql.udf.UDFMonth", "month"),
    ("org.apache.hadoop.hive.ql.udf.UDFYear", "year"),
    ("org.apache.hadoop.hive.ql.udf.UDFRegExpExtract", "regexp_extract"),
    ("org.apache.hadoop.hive.ql.udf.UDFFromUnixTime", "from_unixtime"),
];

/// The functions.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let families = [
        calendar::all(),
        choice::all(),
        fields::all(),
        modulo::all(),
        moments::all(),
        parse::all(),
        regexp::all(),
        text::all(),
        write::all(),
    ];
    families.into_iter().flatten().map(Arc::new).collect()
}

/// The aggregates.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let named = |function: Arc<AggregateUDF>, alias: &'static str| function.as_ref().clone().with_aliases([alias]);
    let all = [
        sum::sum(),
        named(datafusion::functions_aggregate::approx_distinct::approx_distinct_udaf(), "approx_count_distinct"),
        named(datafusion::functions_aggregate::variance::var_samp_udaf(), "variance"),
    ];
    all.into_iter().map(Arc::new).collect()
}

/// The function that a class of another engine is, when it is known.
pub fn of_class(class: &str) -> Option<&'static str> {
    CLASSES.iter().find(|(known, _)| *known == class).map(|(_, function)| *function)
}

#[cfg(test)]
mod tests {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use datafusion::prelude::SessionContext;

    use super::*;

    /// The first column of a query's answer, as text.
    async fn values(sql: &str) -> Vec<String> {
        let context = SessionContext::new();
        for function in all() {
            context.register_udf(function.as_ref().clone());
        }
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let options = FormatOptions::default().with_null("NULL");
        let mut values = Vec::new();
        for batch in batches {
            let column = ArrayFormatter::try_new(batch.column(0), &options).unwrap();
            values.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
        }
        values
    }

    async fn error(sql: &str) -> String {
        let context = SessionContext::new();
        for function in all() {
            context.register_udf(function.as_ref().clone());
        }
        match context.sql(sql).await {
            Ok(frame) => frame.collect().await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn constants() {
        let t = "TIMESTAMP '2026-03-01 14:05:09.123456'";
        for (expression, expected) in [
            (format!("date_format({t}, 'yyyy-MM-dd HH:mm:ss')"), "2026-03-01 14:05:09"),
            (format!("date_format({t}, 'yy/M/d h:m:s a')"), "26/3/1 2:5:9 PM"),
            (
                format!("date_format({t}, 'EEE, d MMM yyyy ''at'' HH''h'' SSS SSSSSS D')"),
                "Sun, 1 Mar 2026 at 14h 123 123456 60",
            ),
            (format!("date_format({t}, 'EEEE MMMM')"), "Sunday March"),
            (format!("date_format({t}, '%Y-%m')"), "2026-03"),
            (
                format!("date_format(arrow_cast({t}, 'Timestamp(Millisecond, Some(\"+02:00\"))'), 'HH:mm XXX')"),
                "14:05 +02:00",
            ),
            ("date_format(DATE '1969-12-31', 'yyyyMMdd HH')".to_owned(), "19691231 00"),
            ("date_format(CAST(NULL AS TIMESTAMP), 'yyyy')".to_owned(), "NULL"),
            (format!("hour({t})"), "14"),
            (format!("minute({t})"), "5"),
            (format!("second({t})"), "9"),
            (format!("dayofmonth({t})"), "1"),
            (format!("day({t})"), "1"),
            (format!("month({t})"), "3"),
            (format!("year({t})"), "2026"),
            (format!("quarter({t})"), "1"),
            (format!("dayofweek({t})"), "1"),
            (format!("dayofyear({t})"), "60"),
            (format!("arrow_typeof(hour({t}))"), "Int64"),
            ("year(DATE '1969-12-31')".to_owned(), "1969"),
            ("from_unixtime(0)".to_owned(), "1970-01-01 00:00:00"),
            ("from_unixtime(1767225600, 'yyyyMMdd')".to_owned(), "20260101"),
            ("unix_timestamp('1970-01-02 00:00:00')".to_owned(), "86400"),
            ("unix_timestamp('02.01.1970', 'dd.MM.yyyy')".to_owned(), "86400"),
            ("unix_timestamp('soon')".to_owned(), "NULL"),
            ("unix_timestamp(TIMESTAMP '1969-12-31 23:59:59.5')".to_owned(), "-1"),
            ("to_timestamp_ltz(1767225600123, 3)".to_owned(), "2026-01-01T00:00:00.123Z"),
            ("to_timestamp_ltz(1767225600, 0)".to_owned(), "2026-01-01T00:00:00Z"),
            ("to_timestamp_ltz(9223372036854775807, 0)".to_owned(), "NULL"),
            ("to_timestamp('01.02.2026 03:04:05', 'dd.MM.yyyy HH:mm:ss')".to_owned(), "2026-02-01T03:04:05"),
            ("to_timestamp('2026-02-01 03:04:05')".to_owned(), "2026-02-01T03:04:05"),
            ("to_timestamp('2026/02/01 03:04', '%Y/%m/%d %H:%M')".to_owned(), "2026-02-01T03:04:00"),
            ("to_date('01.02.2026', 'dd.MM.yyyy')".to_owned(), "2026-02-01"),
            ("to_date('2026-02-01')".to_owned(), "2026-02-01"),
            (format!("timestampdiff('second', {t}, {t} + INTERVAL '90' SECOND)"), "90"),
            (format!("timestampdiff('MONTH', DATE '2026-01-31', {t})"), "1"),
            (format!("timestampadd('HOUR', -2, {t})"), "2026-03-01T12:05:09.123456"),
            ("timestampadd('MONTH', 1, TIMESTAMP '2026-01-31 00:00:00')".to_owned(), "2026-02-28T00:00:00"),
            ("split_index('a/b//c', '/', 1)".to_owned(), "b"),
            ("split_index('a/b//c', '/', 2)".to_owned(), ""),
            ("split_index('a/b//c', '/', 4)".to_owned(), "NULL"),
            ("split_index('a/b//c', '/', -1)".to_owned(), "NULL"),
            ("split_index('a--b', '--', 1)".to_owned(), "b"),
            ("split_index('', '/', 0)".to_owned(), "NULL"),
            ("split_index(NULL, '/', 0)".to_owned(), "NULL"),
            ("split('a,b,,c', ',')".to_owned(), "[a, b, , c]"),
            ("split('añ', '')".to_owned(), "[a, ñ]"),
            ("count_char('añaña', 'ñ')".to_owned(), "2"),
            ("count_char('abc', '')".to_owned(), "0"),
            ("locate('b', 'añbcb')".to_owned(), "3"),
            ("locate('b', 'añbcb', 4)".to_owned(), "5"),
            ("locate('x', 'abc')".to_owned(), "0"),
            ("locate('', 'abc')".to_owned(), "1"),
            ("elt(2, 'a', 'b')".to_owned(), "b"),
            ("elt(3, 'a', 'b')".to_owned(), "NULL"),
            ("elt(1, 'a', NULL)".to_owned(), "a"),
            ("regexp_extract('x&channel_id=77&y', '(&|^)channel_id=([^&]*)', 2)".to_owned(), "77"),
            ("regexp_extract('foothebar', 'foo(.*?)(bar)')".to_owned(), "foothebar"),
            ("regexp_extract('foo', 'bar', 1)".to_owned(), "NULL"),
            ("regexp_extract('foo', 'f(x)?oo', 1)".to_owned(), "NULL"),
            ("regexp('foobar', 'o+b')".to_owned(), "true"),
            ("if(1 = 1, 'yes', 'no')".to_owned(), "yes"),
            ("if(NULL, 1, 2.5)".to_owned(), "2.5"),
            ("mod(7, 3)".to_owned(), "1"),
            ("mod(-7, 3)".to_owned(), "-1"),
            ("mod(7.5, 2)".to_owned(), "1.5"),
            ("lcase('ABC')".to_owned(), "abc"),
            ("truncate(2.57, 1)".to_owned(), "2.5"),
        ] {
            assert_eq!(values(&format!("SELECT {expression}")).await, [expected], "{expression}");
        }
    }

    #[tokio::test]
    async fn columns_of_every_text_type() {
        for text in ["Utf8", "LargeUtf8", "Utf8View"] {
            let rows = format!(
                "(SELECT arrow_cast(s, '{text}') AS s, i, arrow_cast('/', '{text}') AS c FROM \
                 (VALUES ('a/b', 1), ('x', 0), (NULL, 0), ('p/q/r', 2), ('', 0)) AS t(s, i)) AS t"
            );
            for (expression, expected) in [
                ("split_index(s, c, i)", ["b", "x", "NULL", "r", "NULL"]),
                ("split_index(s, '/', 0)", ["a", "x", "NULL", "p", "NULL"]),
                ("count_char(s, c)", ["1", "0", "NULL", "2", "0"]),
                ("regexp_extract(s, '([a-z])$', i)", ["b", "x", "NULL", "NULL", "NULL"]),
                ("regexp_extract(s, '^.')", ["a", "x", "NULL", "p", "NULL"]),
                ("regexp_extract(s, s)", ["a/b", "x", "NULL", "p/q/r", ""]),
                ("locate(c, s)", ["2", "0", "NULL", "2", "0"]),
                ("elt(i, s, c)", ["a/b", "NULL", "NULL", "/", "NULL"]),
                ("if(i > 0, s, 'none')", ["a/b", "none", "none", "p/q/r", "none"]),
            ] {
                assert_eq!(
                    values(&format!("SELECT {expression} FROM {rows}")).await,
                    expected,
                    "{expression} of {text}"
                );
            }
        }
    }

    #[tokio::test]
    async fn neighbours_of_a_division_by_zero_and_formats_row_by_row() {
        let rows = "(VALUES (1, TIMESTAMP '2026-01-01 23:59:59'), (0, TIMESTAMP '2026-01-02 00:00:00'), (2, NULL)) AS t(n, ts)";
        assert_eq!(values(&format!("SELECT if(n <> 0, 10 / n, -1) FROM {rows}")).await, ["10", "-1", "5"]);
        let days = values(&format!("SELECT date_format(ts, 'yyyy-MM-dd') FROM {rows}")).await;
        assert_eq!(days, ["2026-01-01", "2026-01-02", "NULL"]);
        let patterns = values(&format!("SELECT date_format(ts, if(n = 1, 'dd', 'HH')) FROM {rows}")).await;
        assert_eq!(patterns, ["01", "00", "NULL"]);
    }

    #[tokio::test]
    async fn mistakes_are_named() {
        for (expression, part) in [
            ("date_format(now(), 'yyyy-bb')", "'bb'"),
            ("date_format(now(), 'yyyy ''at')", "quote"),
            ("date_format(1, 'yyyy')", "TIMESTAMP"),
            ("to_char(now(), 'YYYY WW')", "WW"),
            ("to_timestamp('a', 'YYYY WW')", "WW"),
            ("format('%s')", "more values"),
            ("format('%x', 1)", "%x"),
            ("make_timestamp(2026, 2, 30, 0, 0, 0)", "no moment"),
            ("time_ceil('FORTNIGHT', now())", "FORTNIGHT"),
            ("regexp_extract('a', '(')", "regular expression"),
            ("timestampdiff('FORTNIGHT', now(), now())", "FORTNIGHT"),
            ("to_timestamp_ltz(1, 4)", "precision"),
            ("split_index('a', 'b')", "split_index"),
            ("unix_timestamp()", "now()"),
            ("if(1, 2, 3)", "if"),
        ] {
            let error = error(&format!("SELECT {expression}")).await;
            assert!(error.contains(part), "{expression}: {error}");
        }
    }

    #[test]
    fn known_classes_are_functions() {
        let names: Vec<String> = all().iter().map(|f| f.name().to_owned()).collect();
        assert!(CLASSES.iter().all(|(_, function)| names.iter().any(|n| n == function)));
        assert_eq!(of_class("com.github.nexmark.flink.udf.CountChar"), Some("count_char"));
        assert_eq!(of_class("com.example.Other"), None);
    }
}
