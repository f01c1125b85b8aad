//! sqlparser's view of our dialect: its permissive generic dialect, less what would swallow our own clauses, plus two
//! pieces of expression syntax that windowing calls need (`TABLE t` and `… PARTITION BY k` as arguments).

use std::any::TypeId;

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, Ident};
use sqlparser::dialect::{Dialect, GenericDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::{balance, build};

/// Name of the call that stands for `input PARTITION BY k, …` until `windows` has taken it apart.
pub(super) const PARTITIONED: &str = "__partitioned";

/// Binds more loosely than every operator, as `PARTITION BY` follows a whole argument.
const PARTITION_PRECEDENCE: u8 = 1;

/// Binds more tightly than `*` and less than `::`, as powers do in PostgreSQL, and operators of JSON so that
/// `j ->> 'a' = 'x'` compares the text. The generic dialect has both below comparisons.
const TIGHT_PRECEDENCE: u8 = 45;

/// The dialect.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct TidemillDialect;

/// Says yes to each of these, as the generic dialect does.
macro_rules! yes {
    ($($name:ident)*) => { $(fn $name(&self) -> bool { true })* };
}

impl Dialect for TidemillDialect {
    // Many of sqlparser's decisions ask for the type of the dialect: answer as the generic one.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    // Left out on purpose: trailing commas and empty projections (they hide typing errors), ClickHouse's FORMAT, SETTINGS,
    // PREWHERE, LIMIT BY, INTERPOLATE and PARTITION BY after ORDER BY (they take the tails that are ours), optimizer hints
    // (comments are comments), Q'…' strings, CONNECT BY.
    yes! {
        supports_unicode_string_literal supports_group_by_expr supports_group_by_with_modifier
        supports_left_associative_joins_without_parens supports_match_recognize supports_pipe_operator
        supports_window_function_null_treatment_arg supports_dictionary_syntax
        supports_window_clause_named_window_reference supports_select_wildcard_except support_map_literal_syntax
        allow_extract_custom allow_extract_single_quotes supports_extract_comma_syntax
        supports_parens_around_table_factor supports_values_as_table_factor supports_limit_comma
        supports_from_first_select supports_try_convert supports_bitwise_shift_operators
        supports_named_fn_args_with_assignment_operator supports_struct_literal supports_nested_comments
        supports_string_escape_constant supports_array_typedef_with_brackets supports_filter_during_aggregation
        supports_select_wildcard_exclude supports_interval_options supports_select_wildcard_replace
        supports_select_wildcard_ilike supports_select_wildcard_rename supports_comma_separated_trim
        supports_data_type_signed_suffix supports_table_versioning
    }

    /// `TABLE t`, `TABLE 'path'`, `TABLE (query)`, `TABLE(t)`: the input of a windowing call, as a subquery.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if !is_word(&parser.peek_token_ref().token, Keyword::TABLE) {
            return None;
        }
        match &parser.peek_nth_token_ref(1).token {
            Token::Word(Word { keyword, quote_style, .. })
                if quote_style.is_some() || !self.is_column_alias_reserved(keyword) =>
            {
                parser.advance_token();
                Some(parse_table(parser))
            }
            Token::SingleQuotedString(_) => {
                parser.advance_token();
                Some(parse_table(parser))
            }
            Token::LParen => {
                parser.advance_token();
                parser.advance_token();
                Some(parse_parenthesized_table(parser))
            }
            _ => None,
        }
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::Arrow | Token::LongArrow | Token::HashArrow | Token::HashLongArrow | Token::Caret => {
                Some(Ok(TIGHT_PRECEDENCE))
            }
            _ => next_is_partition_by(parser).then_some(Ok(PARTITION_PRECEDENCE)),
        }
    }

    /// `input PARTITION BY k` or `input PARTITION BY (k, l)`.
    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        if !next_is_partition_by(parser) {
            return None;
        }
        // The input is copied below, and copying a deep tree takes a deep stack.
        if balance::is_deep(expr) {
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        let span = parser.peek_token_ref().span;
        parser.advance_token();
        parser.advance_token();
        let keys = if parser.peek_token_ref().token == Token::LParen {
            parser.advance_token();
            parser.parse_comma_separated(Parser::parse_expr).and_then(|keys| {
                parser.expect_token(&Token::RParen)?;
                Ok(keys)
            })
        } else {
            parser.parse_subexpr(PARTITION_PRECEDENCE).map(|key| vec![key])
        };
        Some(keys.map(|keys| {
            let args = std::iter::once(expr.clone()).chain(keys);
            let args = args.map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
            Expr::Function(build::call(Ident::with_span(span, PARTITIONED), args))
        }))
    }
}

impl TidemillDialect {
    fn is_column_alias_reserved(self, keyword: &Keyword) -> bool {
        sqlparser::keywords::RESERVED_FOR_COLUMN_ALIAS.contains(keyword)
    }
}

fn is_word(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

fn next_is_partition_by(parser: &Parser) -> bool {
    is_word(&parser.peek_token_ref().token, Keyword::PARTITION)
        && is_word(&parser.peek_nth_token_ref(1).token, Keyword::BY)
}

fn parse_table(parser: &mut Parser) -> Result<Expr, ParserError> {
    let name = parser.parse_object_name(false)?;
    Ok(Expr::Subquery(build::select_all(build::table(name))))
}

fn parse_parenthesized_table(parser: &mut Parser) -> Result<Expr, ParserError> {
    let starts_query = [Keyword::SELECT, Keyword::WITH, Keyword::VALUES, Keyword::FROM]
        .iter()
        .any(|keyword| is_word(&parser.peek_token_ref().token, *keyword));
    let expr = if starts_query {
        Expr::Subquery(parser.parse_query()?)
    } else {
        match parser.parse_expr()? {
            Expr::Identifier(ident) => {
                Expr::Subquery(build::select_all(build::table(ast::ObjectName::from(vec![ident]))))
            }
            Expr::CompoundIdentifier(parts) => {
                Expr::Subquery(build::select_all(build::table(ast::ObjectName::from(parts))))
            }
            other => other,
        }
    };
    parser.expect_token(&Token::RParen)?;
    Ok(expr)
}
