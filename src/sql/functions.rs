//! `CREATE FUNCTION`: SQL bodies, and classes of other engines by name.

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::commands::refused;
use super::cursor::Cursor;
use super::statement::{CreateFunction, FunctionBody, Name, Statement};
use super::tokens;
use crate::error::{Error, Result};

/// Whether a CREATE is one of a function.
pub(super) fn is_function(cursor: &Cursor<'_>) -> bool {
    let mut ahead = *cursor;
    ahead.accept(&["CREATE"]);
    ahead.accept(&["OR", "REPLACE"]);
    while ahead.accept_any(&["TEMPORARY", "TEMP", "SYSTEM"]).is_some() {}
    ahead.at_words(&["FUNCTION"])
}

/// `CREATE FUNCTION name [(params)] [RETURNS type] [LANGUAGE x] RETURN expr | AS expr | AS 'class' | AS $$ body $$`.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.span();
    cursor.expect(&["CREATE"])?;
    let mut or_replace = cursor.accept(&["OR", "REPLACE"]);
    while cursor.accept_any(&["TEMPORARY", "TEMP", "SYSTEM"]).is_some() {}
    cursor.expect(&["FUNCTION"])?;
    or_replace |= cursor.accept(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name("a name for the function")?;
    let mut parameters = Vec::new();
    if cursor.peek(0) == Some(&Token::LParen) {
        for mut part in cursor.parens("parameters")?.split_commas() {
            parameters.push(parameter(&mut part)?);
        }
    }
    let mut returns = None;
    let mut language = None;
    let mut body = None;
    while !cursor.is_done() {
        if cursor.accept(&["RETURNS"]) {
            if cursor.at_words(&["TABLE"]) || cursor.at_words(&["SETOF"]) {
                return Ok(refused("CREATE FUNCTION … RETURNS TABLE", "write a view", start));
            }
            returns = Some(cursor.data_type()?);
        } else if cursor.accept(&["LANGUAGE"]) {
            language = Some(cursor.ident("a language")?.value.to_ascii_uppercase());
        } else if cursor.accept_any(&["IMMUTABLE", "STABLE", "VOLATILE", "STRICT", "DETERMINISTIC"]).is_some() {
            // What a body does is seen in the body.
        } else if cursor.accept(&["RETURN"]) {
            body = Some(Body::Expression(Box::new(cursor.expr()?)));
        } else if cursor.accept(&["AS"]) {
            body = Some(as_body(cursor)?);
        } else if cursor.at_words(&["USING"]) {
            return Ok(refused(
                "CREATE FUNCTION … USING JAR",
                "write the function in SQL: RETURNS INT RETURN x + 1",
                start,
            ));
        } else {
            return Err(cursor.expected("RETURNS, RETURN, AS or LANGUAGE"));
        }
    }
    let Some(body) = body else {
        return Err(cursor
            .expected("RETURN and an expression")
            .help("CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1"));
    };
    let body = match (body, language.as_deref()) {
        (Body::Expression(expr), None | Some("SQL")) => FunctionBody::Sql(expr),
        (Body::Text(text), Some("SQL")) => FunctionBody::Sql(Box::new(sql_body(cursor, &text)?)),
        (Body::Text(text), None) if text.dollar => FunctionBody::Sql(Box::new(sql_body(cursor, &text)?)),
        (Body::Text(text), None | Some("JAVA" | "SCALA")) => FunctionBody::Class(text.value),
        (_, Some(language)) => {
            let what = format!("CREATE FUNCTION … LANGUAGE {language}");
            return Ok(refused(&what, "write the function in SQL: RETURNS INT RETURN x + 1", start));
        }
    };
    Ok(Statement::CreateFunction(Box::new(CreateFunction { name, or_replace, parameters, returns, body })))
}

enum Body {
    Expression(Box<sqlparser::ast::Expr>),
    Text(Text),
}

/// A body in quotes or dollars, and where its first character stands.
struct Text {
    value: String,
    dollar: bool,
    start: Location,
    span: Span,
}

fn as_body(cursor: &mut Cursor<'_>) -> Result<Body> {
    let text = match cursor.rest().first() {
        Some(TokenWithSpan { token: Token::SingleQuotedString(value), span }) => {
            let whole = matches!(cursor.peek(1), None | Some(Token::Word(_)));
            let start = Location::new(span.start.line, span.start.column + 1);
            whole.then(|| Text { value: value.clone(), dollar: false, start, span: *span })
        }
        Some(TokenWithSpan { token: Token::DollarQuotedString(quoted), span }) => {
            let tag = quoted.tag.as_ref().map_or(0, |tag| tag.chars().count() as u64) + 2;
            let start = Location::new(span.start.line, span.start.column + tag);
            Some(Text { value: quoted.value.clone(), dollar: true, start, span: *span })
        }
        _ => None,
    };
    match text {
        Some(text) => {
            cursor.next();
            Ok(Body::Text(text))
        }
        None => Ok(Body::Expression(Box::new(cursor.expr()?))),
    }
}

/// A SQL body in quotes: `SELECT x + 1`, `RETURN x + 1` or `x + 1`, its places being those in the script.
fn sql_body(cursor: &Cursor<'_>, text: &Text) -> Result<sqlparser::ast::Expr> {
    let mut tokens = tokens::tokenize(&text.value).map_err(|error| Error::sql(error.message()).at(text.span.into()))?;
    for token in &mut tokens {
        token.span = Span::new(shift(token.span.start, text.start), shift(token.span.end, text.start));
    }
    while tokens.last().is_some_and(|t| t.token == Token::SemiColon) {
        tokens.pop();
    }
    super::bounds::check_statement(&tokens)?;
    let mut body = Cursor::new(cursor.source, &tokens);
    if body.accept_any(&["SELECT", "RETURN"]).is_none() && body.is_done() {
        return Err(Error::sql("the body of the function is empty").at(text.span.into()));
    }
    let expr = body.expr()?;
    body.finish("the expression")?;
    Ok(expr)
}

fn shift(at: Location, start: Location) -> Location {
    let column = if at.line == 1 { at.column + start.column - 1 } else { at.column };
    Location::new(at.line + start.line - 1, column)
}

/// `name type` or `type`.
fn parameter(part: &mut Cursor<'_>) -> Result<(Option<Name>, sqlparser::ast::DataType)> {
    part.accept(&["IN"]);
    let mut unnamed = *part;
    if let Ok(data_type) = unnamed.data_type()
        && unnamed.is_done()
    {
        return Ok((None, data_type));
    }
    let name = part.name("a parameter")?;
    let data_type = part.data_type()?;
    part.finish("the parameter's type")?;
    Ok((Some(name), data_type))
}
