//! Statements as the rest of the crate sees them, whatever dialect they were written in.
//!
//! # The one form of a windowing call
//!
//! After parsing, every windowing call in a FROM clause (TUMBLE, HOP, CUMULATE, SESSION; any dialect) is a
//! `TableFactor::Table` with the one-word name `tumble`, `hop`, `cumulate` or `session` and unnamed arguments:
//!
//! | argument | what |
//! |---|---|
//! | 1 | `Expr::Subquery`: the input; a bare name `t` has become `(SELECT * FROM t)` |
//! | 2 | the time column or expression; `Expr::Function` named [`WATERMARK_COLUMN`] where the text names none |
//! | then | interval expressions: TUMBLE size \[offset\]; HOP slide, size \[offset\]; CUMULATE step, max \[offset\]; SESSION gap |
//! | SESSION only | one more argument per PARTITION BY key |
//!
//! Group window functions (`GROUP BY TUMBLE(ts, …)`, `TUMBLE_START(…)`) have been rewritten to such a call in FROM and to the
//! columns `window_start`, `window_end`, `window_time`. WHERE has gone into the call's input with them.
//!
//! # Other forms that are one
//!
//! A relation in single quotes (`FROM 'logs/*.jsonl'`) is an identifier with the quote style `'`. Types are as described in
//! `types`: every TIMESTAMP has a precision of 0, 3, 6 or 9, and one without is 6. Identifiers keep the places that they were
//! written at, through all rewriting.

use sqlparser::ast;

use crate::error::Span;
use crate::settings::Options;

/// Name of the function that stands for "the watermarked column of the input" in a windowing call that names no column.
pub const WATERMARK_COLUMN: &str = "__watermark_column";

/// Name of a relation that is the rows of a first one, each with the elements of its lists:
/// `__unnest((SELECT * FROM …) or NULL, condition, list, …) [WITH ORDINALITY] AS alias`.
pub const UNNEST_CALL: &str = "__unnest";

/// The same where rows without elements stay.
pub const UNNEST_LEFT_CALL: &str = "__unnest_left";

/// A statement with its place in the script.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// Its text, without the semicolon.
    pub text: String,
    /// Where it stands in the script.
    pub span: Span,
}

/// A statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `CREATE TABLE | SOURCE | STREAM`.
    CreateTable(Box<CreateTable>),
    /// `CREATE SINK`.
    CreateSink(Box<CreateSink>),
    /// `CREATE [MATERIALIZED] VIEW`.
    CreateView(Box<CreateView>),
    /// `CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1` and its relatives.
    CreateFunction(Box<CreateFunction>),
    /// `INSERT INTO sink SELECT …`.
    Insert(Box<Insert>),
    /// `UPDATE t SET …`.
    Update(Box<Update>),
    /// `DELETE FROM t …`, `TRUNCATE t`: no assignments.
    Delete(Box<Update>),
    /// `FLUSH`: waits until what was written is in every view.
    Flush,
    /// `CREATE INDEX name ON t (columns)`: taken note of, as every key that a query looks up has an index anyway.
    CreateIndex {
        /// Its name.
        name: Name,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
        /// The relation.
        on: Name,
        /// The columns, where they are plain ones.
        columns: Vec<Name>,
    },
    /// `EXECUTE STATEMENT SET BEGIN … END`.
    StatementSet(Vec<Insert>),
    /// `SELECT …`, a continuous query when it reads a stream.
    Query(Box<Query>),
    /// `SUBSCRIBE [TO] name` or `SUBSCRIBE (query)`.
    Subscribe(Box<Query>),
    /// `EXPLAIN [ANALYZE] [VERBOSE] statement`.
    Explain {
        /// Print the DataFusion plan too.
        verbose: bool,
        /// What to explain.
        statement: Box<Statement>,
    },
    /// `SET name = value`.
    Set {
        /// The setting, dots and all.
        name: String,
        /// Its value without quotes.
        value: String,
        /// Where the name stands.
        span: Span,
    },
    /// `RESET name | ALL`.
    Reset(Option<String>),
    /// `SHOW …`.
    Show(Show),
    /// `DESCRIBE name`.
    Describe(Name),
    /// `DROP kind [IF EXISTS] name, …`.
    Drop {
        /// What kind was named: TABLE, VIEW, MATERIALIZED VIEW, SINK, SOURCE, STREAM, FUNCTION.
        kind: RelationKind,
        /// No error when it is not there.
        if_exists: bool,
        /// What to drop.
        names: Vec<Name>,
        /// Drop what depends on it too.
        cascade: bool,
    },
    /// `COPY (query) TO STDOUT`, for clients of a server.
    CopyOut {
        /// A query or SUBSCRIBE.
        statement: Box<Statement>,
        /// How its rows are written.
        format: CopyFormat,
        /// Where.
        span: Span,
    },
    /// About the session of a client of a server; it means nothing elsewhere.
    Session {
        /// What it says.
        command: SessionCommand,
        /// Where.
        span: Span,
    },
    /// Parsed, but not run yet: `what` names it in the refusal and `help` says what to write instead.
    NotYet {
        /// For example `MATCH_RECOGNIZE`, `UPDATE`.
        what: String,
        /// What to write instead.
        help: String,
        /// Where.
        span: Span,
    },
}

/// How COPY writes rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyFormat {
    /// CSV; else PostgreSQL's text format.
    pub csv: bool,
    /// The first line names the columns.
    pub header: bool,
}

/// What a client says about its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionCommand {
    /// `BEGIN`.
    Begin,
    /// `START TRANSACTION`.
    Start,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// `ROLLBACK TO` a savepoint.
    RollbackTo,
    /// `SAVEPOINT`.
    Savepoint,
    /// `RELEASE` of a savepoint.
    Release,
    /// `DISCARD ALL` and its parts.
    Discard,
    /// `DEALLOCATE name`; `None`: ALL.
    Deallocate(Option<String>),
}

/// A one-word name, folded to lower case unless it was quoted, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name as the catalog knows it.
    pub value: String,
    /// The name as it was spelled.
    pub spelled: String,
    /// Where.
    pub span: Span,
}

/// Kinds of relation, as DDL names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// TABLE.
    Table,
    /// SOURCE or STREAM: not stored.
    Source,
    /// SINK.
    Sink,
    /// VIEW.
    View,
    /// MATERIALIZED VIEW.
    MaterializedView,
    /// FUNCTION.
    Function,
    /// INDEX.
    Index,
}

/// `CREATE TABLE | SOURCE | STREAM name (columns) WITH (options)`.
#[derive(Debug, Clone)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// TABLE or SOURCE.
    pub kind: RelationKind,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Gone when the session ends.
    pub temporary: bool,
    /// Columns in order; none when they are to be inferred.
    pub columns: Vec<ColumnSpec>,
    /// `WATERMARK FOR c AS expr`.
    pub watermark: Option<WatermarkSpec>,
    /// Columns of the PRIMARY KEY.
    pub primary_key: Vec<Name>,
    /// Columns of PARTITIONED BY.
    pub partitioned_by: Vec<Name>,
    /// `WITH (…)`, with FORMAT … ENCODE … and ksqlDB's forms brought to `format` and its relatives.
    pub options: Options,
    /// `AS SELECT …`.
    pub query: Option<Box<Query>>,
    /// `LIKE other`.
    pub like: Option<Name>,
    /// `APPEND ONLY`: rows are only ever inserted.
    pub append_only: bool,
    /// `ON CONFLICT DO NOTHING`: a row whose key is there already is not inserted.
    pub on_conflict_keep: bool,
}

/// A column of a DDL.
#[derive(Debug, Clone)]
pub struct ColumnSpec {
    /// Its name.
    pub name: Name,
    /// Its type; `None` for `name AS expr`.
    pub data_type: Option<ast::DataType>,
    /// NOT NULL.
    pub not_null: bool,
    /// `AS expr` or `GENERATED ALWAYS AS (expr)`.
    pub computed: Option<ast::Expr>,
    /// `METADATA [FROM 'key'] [VIRTUAL]`: the key.
    pub metadata: Option<String>,
    /// `DEFAULT expr`.
    pub default: Option<ast::Expr>,
}

/// `WATERMARK FOR column [AS expr]`.
#[derive(Debug, Clone)]
pub struct WatermarkSpec {
    /// The time column.
    pub column: Name,
    /// The expression, `column - INTERVAL …` as a rule; `None`: the column itself.
    pub expr: Option<ast::Expr>,
}

/// `CREATE SINK name [FROM relation | AS query] WITH (options)`; with neither it is a table to insert into.
#[derive(Debug, Clone)]
pub struct CreateSink {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The declared columns, when there are any.
    pub columns: Vec<ColumnSpec>,
    /// What flows into it; `FROM v` has become `SELECT * FROM v`.
    pub query: Option<Box<Query>>,
    /// `INTO table` in place of options.
    pub into: Option<Name>,
    /// `WITH (…)`.
    pub options: Options,
}

/// `CREATE [MATERIALIZED] VIEW name AS query`.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// Kept up to date, or expanded where it is used.
    pub materialized: bool,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `name (a, b) AS …`.
    pub columns: Vec<Name>,
    /// The query.
    pub query: Box<Query>,
}

/// A function made in SQL.
#[derive(Debug, Clone)]
pub struct CreateFunction {
    /// Its name.
    pub name: Name,
    /// `OR REPLACE` or `IF NOT EXISTS`.
    pub or_replace: bool,
    /// Parameters: name (may be empty: `$1`) and type.
    pub parameters: Vec<(Option<Name>, ast::DataType)>,
    /// Declared result type.
    pub returns: Option<ast::DataType>,
    /// What it is.
    pub body: FunctionBody,
}

/// The body of a function.
#[derive(Debug, Clone)]
pub enum FunctionBody {
    /// A SQL expression over the parameters.
    Sql(Box<ast::Expr>),
    /// `AS 'class' [LANGUAGE …]`: a class of another engine; known ones map to built-in functions.
    Class(String),
}

/// `INSERT INTO target [(columns)] query`.
#[derive(Debug, Clone)]
pub struct Insert {
    /// The sink or table.
    pub target: Name,
    /// Columns named.
    pub columns: Vec<Name>,
    /// What is inserted.
    pub query: Query,
    /// What becomes of rows whose key is there already.
    pub on_conflict: Option<Conflict>,
}

impl Insert {
    /// Inserts all columns of a query.
    pub fn all(target: &Name, query: &Query) -> Self {
        Self { target: target.clone(), columns: Vec::new(), query: query.clone(), on_conflict: None }
    }
}

/// `ON CONFLICT [(columns)] DO …`.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The columns named: those of the primary key, or none.
    pub columns: Vec<Name>,
    /// What is done.
    pub action: ConflictAction,
    /// Where the clause stands.
    pub span: Span,
}

/// What is done with a row whose key is there already.
#[derive(Debug, Clone)]
pub enum ConflictAction {
    /// `DO NOTHING`: the old row stays.
    Nothing,
    /// `DO UPDATE SET c = expr, … [WHERE expr]`, over the old row and `excluded`, the new one.
    Update {
        /// The columns set.
        assignments: Vec<(Name, ast::Expr)>,
        /// Where it does not hold, the old row stays as it is.
        selection: Option<Box<ast::Expr>>,
    },
}

/// `UPDATE t [AS alias] SET … [FROM …] [WHERE …]`, and DELETE, which sets nothing.
#[derive(Debug, Clone)]
pub struct Update {
    /// The table that is changed.
    pub target: Name,
    /// Its alias.
    pub alias: Option<Name>,
    /// The columns set.
    pub assignments: Vec<(Name, ast::Expr)>,
    /// `FROM …`, `USING …`.
    pub from: Vec<ast::TableWithJoins>,
    /// `WHERE …`.
    pub selection: Option<ast::Expr>,
}

/// A query with its EMIT clause.
#[derive(Debug, Clone)]
pub struct Query {
    /// The query in sqlparser's terms, windowing calls in their one form.
    pub query: Box<ast::Query>,
    /// When its rows come out.
    pub emit: Option<Emit>,
}

/// When rows come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emit {
    /// What comes out.
    pub mode: EmitMode,
    /// Where the clause stands.
    pub span: Span,
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitMode {
    /// `EMIT ON WINDOW CLOSE | FINAL | AFTER WINDOW CLOSE | AFTER WATERMARK`: final rows only.
    OnWindowClose,
    /// `EMIT CHANGES | ON UPDATE | CHANGELOG`: every interval, what changed.
    Changes,
    /// `EMIT COMPLETE`: every interval, the whole result.
    Complete,
}

/// `SHOW …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// `SHOW TABLES` (sources and sinks too).
    Tables,
    /// `SHOW VIEWS`.
    Views,
    /// `SHOW FUNCTIONS`.
    Functions,
    /// `SHOW QUERIES | JOBS`: what runs.
    Queries,
    /// `SHOW STATE`.
    State,
    /// `SHOW CONNECTORS`.
    Connectors,
    /// `SHOW ALL`: every setting.
    Settings,
    /// `SHOW name`: one setting.
    Setting(String),
    /// `SHOW CREATE … name`: the DDL, inferred columns too.
    Create(Name),
    /// `SHOW COLUMNS FROM name`.
    Columns(Name),
}
