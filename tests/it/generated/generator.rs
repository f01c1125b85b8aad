//! Random queries.
//!
//! Every query has one right answer whatever the order of its input: what depends on an order (LIMIT, row_number, lag, framed
//! sums, array_agg) is ordered by all columns. Sums of floats are over values that add up exactly.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::data::{EVENTS, Flavour, TABLES, Table};
use super::query::{Distinct, From, Group, Item, ItemValue, Predicate, Query, Top, Type, Window};

/// A column that expressions may name.
#[derive(Debug, Clone)]
struct Column {
    /// With its alias: `t1.k`.
    name: String,
    data_type: Type,
}

/// A relation made earlier, that later queries may read.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) columns: Vec<(String, Type)>,
}

/// Makes queries.
pub(crate) struct Generator<'a> {
    pub(crate) rng: &'a mut SmallRng,
    pub(crate) flavour: Flavour,
    /// Windows over the table of events.
    pub(crate) windows: bool,
    /// Only what DuckDB understands the same way.
    pub(crate) portable: bool,
    /// Views that may be read.
    pub(crate) made: Vec<Made>,
    pub(crate) aliases: usize,
}

const TYPES: [Type; 4] = [Type::Int, Type::Int, Type::Text, Type::Float];

impl Generator<'_> {
    /// A query, its columns named `c0`, `c1`, …
    pub(crate) fn query(&mut self) -> Query {
        let depth = *[1, 2, 2, 2, 3].choose(self.rng).expect("some");
        self.select(depth, None)
    }

    /// A condition over the columns of a table, by their bare names.
    pub(crate) fn condition_on(&mut self, table: &Table) -> String {
        self.predicate(&bare_columns(table), 1)
    }

    /// A column of a table and a new value for it.
    pub(crate) fn assignment(&mut self, table: &Table) -> (usize, String) {
        let at = self.rng.random_range(0..table.columns.len());
        (at, self.expr(table.columns[at].1, &bare_columns(table), 2))
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(self.rng).expect("something to choose from")
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// A query; `want` are the types of its columns.
    fn select(&mut self, depth: usize, want: Option<&[Type]>) -> Query {
        let (from, scope) = self.from(depth);
        let filter = self.filter(depth, &scope);
        let mut query = Query {
            distinct: Distinct::No,
            items: Vec::new(),
            from,
            filter,
            group: Group::No,
            having: None,
            qualify: None,
            set: None,
            top: None,
        };
        let want: Vec<Type> = match want {
            Some(want) => want.to_vec(),
            None => (0..self.rng.random_range(1..=4)).map(|_| self.pick(&TYPES)).collect(),
        };
        match self.rng.random_range(0..20) {
            0..8 => self.plain(&mut query, &want, &scope, depth),
            8..14 => self.grouped(&mut query, &want, &scope),
            14..18 => self.over(&mut query, &want, &scope),
            _ => self.distinct(&mut query, &want, &scope),
        }
        let types: Vec<Type> = query.items.iter().map(|i| i.data_type).collect();
        let settable = matches!(query.distinct, Distinct::No) && query.qualify.is_none();
        if depth > 0 && settable && self.one_in(7) {
            let other = self.select(depth - 1, Some(&types));
            if other.set.is_none() && other.top.is_none() && !matches!(other.distinct, Distinct::OnFirst(_)) {
                let operators = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"];
                query.set = Some((self.pick(&operators), Box::new(other)));
            }
        }
        if query.set.is_none() && !matches!(query.distinct, Distinct::OnFirst(_)) && self.one_in(8) {
            let names: Vec<String> = query.items.iter().map(|i| i.alias.clone()).collect();
            let order = self.total_order(&names);
            let offset = if self.one_in(3) { self.rng.random_range(1..3) } else { 0 };
            query.top = Some(Top { order, limit: self.rng.random_range(1..5), offset });
        }
        query
    }

    fn put(&self, query: &mut Query, value: ItemValue, data_type: Type) {
        let alias = format!("c{}", query.items.len());
        query.items.push(Item { value, alias, data_type });
    }

    fn plain(&mut self, query: &mut Query, want: &[Type], scope: &[Column], depth: usize) {
        for data_type in want {
            let value = match self.scalar(*data_type, scope, depth) {
                Some(scalar) => ItemValue::Scalar(Box::new(scalar)),
                None => ItemValue::Text(self.expr(*data_type, scope, 2)),
            };
            self.put(query, value, *data_type);
        }
        let of_ints = query.items[0].data_type == Type::Int;
        if !self.portable
            && self.one_in(12)
            && of_ints
            && query.items.iter().all(|i| matches!(i.value, ItemValue::Text(_)))
        {
            let (a, b) = (self.expr(Type::Int, scope, 1), self.expr(Type::Int, scope, 1));
            query.items[0] = Item {
                value: ItemValue::Text(format!("unnest({{[}}{a}, {b}{{]}})")),
                alias: "c0".to_owned(),
                data_type: Type::Int,
            };
        }
    }

    fn distinct(&mut self, query: &mut Query, want: &[Type], scope: &[Column]) {
        let on = self.one_in(2);
        for data_type in want {
            let value = if on { self.column(*data_type, scope) } else { self.expr(*data_type, scope, 1) };
            self.put(query, ItemValue::Text(value), *data_type);
        }
        query.distinct = Distinct::Yes;
        let ItemValue::Text(first) = &query.items[0].value else { return };
        if on && scope.iter().any(|c| c.name == *first) {
            let names: Vec<String> = query
                .items
                .iter()
                .map(|i| match &i.value {
                    ItemValue::Text(text) => text.clone(),
                    ItemValue::Scalar(_) => i.alias.clone(),
                })
                .collect();
            // The keys of DISTINCT ON come first.
            let mut order = format!("{first} {}", self.direction());
            // A constant among them makes DataFusion's DISTINCT ON panic.
            let of_a_row = |n: &&String| *n != first && scope.iter().any(|c| n.contains(&c.name));
            let rest: Vec<String> = names[1..].iter().filter(of_a_row).cloned().collect();
            let rest = self.total_order(&rest);
            if !rest.is_empty() {
                order = format!("{order}, {rest}");
            }
            query.distinct = Distinct::OnFirst(order);
        }
    }

    fn grouped(&mut self, query: &mut Query, want: &[Type], scope: &[Column]) {
        let mut keys: Vec<(String, Type)> = Vec::new();
        // Windows are what one groups by.
        for bound in ["window_start", "window_end"] {
            let of_window = scope.iter().find(|c| c.name.ends_with(bound));
            if let Some(column) = of_window.filter(|_| self.rng.random_bool(0.8)) {
                keys.push((column.name.clone(), column.data_type));
            }
        }
        for _ in 0..self.rng.random_range(0..3) {
            let data_type = self.pick(&TYPES);
            let key = if self.one_in(4) { self.expr(data_type, scope, 1) } else { self.column(data_type, scope) };
            // A constant key is no key to some.
            let names_a_column = scope.iter().any(|c| key.contains(&c.name));
            if names_a_column && keys.iter().all(|(k, _)| *k != key) {
                keys.push((key, data_type));
            }
        }
        let names: Vec<String> = keys.iter().map(|(k, _)| k.clone()).collect();
        query.group = match self.rng.random_range(0..12) {
            _ if names.is_empty() => Group::Whole,
            0 => Group::Rollup(names),
            1 if names.len() < 4 => Group::Cube(names),
            2 => {
                let subset = |me: &mut Self| names.iter().filter(|_| me.rng.random_bool(0.5)).cloned().collect();
                Group::Sets(vec![subset(self), names.clone(), subset(self)])
            }
            _ => Group::By(names),
        };
        for data_type in want {
            let fitting: Vec<&String> = keys.iter().filter(|(_, t)| t == data_type).map(|(k, _)| k).collect();
            let value = match fitting.choose(self.rng) {
                Some(key) if self.rng.random_bool(0.4) => (*key).clone(),
                _ => self.aggregate(*data_type, scope),
            };
            self.put(query, ItemValue::Text(value), *data_type);
        }
        if self.one_in(5) {
            let (count, limit) = (self.aggregate(Type::Int, scope), self.rng.random_range(0..4));
            let operator = self.pick(&[">", "<=", "<>", ">="]);
            query.having = Some(format!("{count} {operator} {limit}"));
        }
    }

    fn over(&mut self, query: &mut Query, want: &[Type], scope: &[Column]) {
        let names: Vec<String> = scope.iter().map(|c| c.name.clone()).collect();
        // One for all calls that look at neighbours: which of two equal rows comes first may differ between two sorts.
        let spec = (self.partition(scope), self.total_order(&names));
        for data_type in want {
            let value = if self.rng.random_bool(0.6) {
                self.window_call(*data_type, scope, &spec)
            } else {
                self.column(*data_type, scope)
            };
            self.put(query, ItemValue::Text(value), *data_type);
        }
        if self.one_in(3) {
            let (call, limit) = (self.window_call(Type::Int, scope, &spec), self.rng.random_range(1..4));
            let operator = self.pick(&["=", "<=", "<"]);
            query.qualify = Some(format!("{call} {operator} {limit}"));
        }
    }

    /// What is read, and its columns.
    fn from(&mut self, depth: usize) -> (From, Vec<Column>) {
        match self.rng.random_range(0..10) {
            _ if depth == 0 => self.leaf(),
            0..3 => self.leaf(),
            3..6 => self.derived(depth),
            _ => self.join(depth),
        }
    }

    fn leaf(&mut self) -> (From, Vec<Column>) {
        let alias = self.alias();
        let of = |columns: &[(&str, Type)]| -> Vec<Column> {
            columns.iter().map(|(n, t)| Column { name: format!("{alias}.{n}"), data_type: *t }).collect()
        };
        if !self.made.is_empty() && self.one_in(2) {
            let made = self.made.choose(self.rng).expect("some").clone();
            let columns: Vec<(&str, Type)> = made.columns.iter().map(|(n, t)| (n.as_str(), *t)).collect();
            return (From::Table { name: made.name.clone(), alias: alias.clone() }, of(&columns));
        }
        if self.windows && self.rng.random_bool(0.7) {
            let window = self.pick(&[
                Window::Tumble(10),
                Window::Tumble(5),
                Window::Hop { slide: 5, size: 10 },
                Window::Cumulate { step: 5, size: 15 },
                Window::Session(4),
            ]);
            if matches!(window, Window::Session(_)) {
                return self.sessions(window, alias);
            }
            let mut columns = of(TABLES[EVENTS].columns);
            columns.extend(of(&[("window_start", Type::Time), ("window_end", Type::Time)]));
            return (From::Window { window, table: TABLES[EVENTS].name, alias }, columns);
        }
        let tables = if self.windows { 4 } else { 3 };
        let table = TABLES[self.rng.random_range(0..tables)];
        (From::Table { name: table.name.to_owned(), alias: alias.clone() }, of(table.columns))
    }

    /// Rows of sessions are grouped by them at once.
    fn sessions(&mut self, window: Window, alias: String) -> (From, Vec<Column>) {
        let inner = self.alias();
        let name = |column: &str| format!("{inner}.{column}");
        let items = [
            ("k", name("k"), Type::Int),
            ("v", format!("sum({})", name("v")), Type::Int),
            ("s", format!("min({})", name("s")), Type::Text),
            ("window_start", name("window_start"), Type::Time),
            ("window_end", name("window_end"), Type::Time),
        ];
        let from = From::Window { window, table: TABLES[EVENTS].name, alias: inner.clone() };
        let keys = ["window_start", "window_end", "k"].map(name).to_vec();
        let mut query = bare(from, ItemValue::Text(String::new()), Type::Int, Group::By(keys));
        let item = |(alias, text, data_type): &(&str, String, Type)| Item {
            value: ItemValue::Text(text.clone()),
            alias: (*alias).to_owned(),
            data_type: *data_type,
        };
        query.items = items.iter().map(item).collect();
        let column =
            |(column, _, t): &(&str, String, Type)| Column { name: format!("{alias}.{column}"), data_type: *t };
        let columns = items.iter().map(column).collect();
        (From::Sub { query: Box::new(query), alias }, columns)
    }

    fn derived(&mut self, depth: usize) -> (From, Vec<Column>) {
        let alias = self.alias();
        let query = self.select(depth - 1, None);
        let columns =
            query.items.iter().map(|i| Column { name: format!("{alias}.{}", i.alias), data_type: i.data_type });
        let columns = columns.collect();
        (From::Sub { query: Box::new(query), alias }, columns)
    }

    fn join(&mut self, depth: usize) -> (From, Vec<Column>) {
        let (left, left_columns) = self.from(depth - 1);
        let (right, right_columns) = if self.one_in(4) { self.from(depth - 1) } else { self.from(0) };
        let kinds = ["", "", "", "LEFT", "LEFT", "RIGHT", "RIGHT", "FULL", "FULL", "CROSS", "LEFT SEMI", "LEFT ANTI"];
        let kind = self.pick(&kinds);
        let both: Vec<Column> = left_columns.iter().chain(&right_columns).cloned().collect();
        let mut on = Vec::new();
        if kind != "CROSS" {
            for _ in 0..self.pick(&[1, 1, 1, 2]) {
                let pairs: Vec<(&Column, &Column)> = left_columns
                    .iter()
                    .flat_map(|l| right_columns.iter().map(move |r| (l, r)))
                    .filter(|(l, r)| l.data_type == r.data_type)
                    .collect();
                // Keys with keys, windows with windows, as a rule.
                let alike: Vec<_> = pairs.iter().filter(|(l, r)| tail(&l.name) == tail(&r.name)).copied().collect();
                let chosen = if self.one_in(4) { pairs.choose(self.rng) } else { alike.choose(self.rng) };
                match chosen.or(pairs.first()) {
                    Some((l, r)) if !self.one_in(8) => on.push(format!("{} = {}", l.name, r.name)),
                    _ => {}
                }
            }
            if on.is_empty() || self.one_in(5) {
                on.push(self.predicate(&both, 1));
            }
            on.dedup();
        }
        let semi = kind.ends_with("SEMI") || kind.ends_with("ANTI");
        let columns = if semi { left_columns } else { both };
        (From::Join { kind, left: Box::new(left), right: Box::new(right), on }, columns)
    }

    fn filter(&mut self, depth: usize, scope: &[Column]) -> Vec<Predicate> {
        let mut all = Vec::new();
        for _ in 0..self.pick(&[0, 0, 0, 1, 1, 2]) {
            let predicate = if depth > 0 && self.one_in(3) {
                self.subquery(scope)
            } else {
                Predicate::Text(self.predicate(scope, 2))
            };
            all.push(predicate);
        }
        all
    }

    /// IN, EXISTS or a comparison with a subquery.
    fn subquery(&mut self, scope: &[Column]) -> Predicate {
        let not = self.one_in(2);
        match self.rng.random_range(0..4) {
            0 | 1 => {
                let data_type = self.pick(&[Type::Int, Type::Int, Type::Text]);
                let value = self.column(data_type, scope);
                Predicate::In { value, not, query: Box::new(self.select(0, Some(&[data_type]))) }
            }
            2 => {
                let Some(query) = self.correlated(scope, None) else { return Predicate::Text("TRUE".to_owned()) };
                Predicate::Exists { not, query: Box::new(query) }
            }
            _ => {
                let (from, inner) = self.leaf();
                let aggregate = self.aggregate(Type::Int, &inner);
                let query = bare(from, ItemValue::Text(aggregate), Type::Int, Group::Whole);
                let value = self.column(Type::Int, scope);
                Predicate::Compare { value, operator: self.pick(&["<", ">=", "=", "<>"]), query: Box::new(query) }
            }
        }
    }

    /// A subquery over a table, tied to the outer row by an equality; with an aggregate of this type, or `1`.
    fn correlated(&mut self, scope: &[Column], aggregate: Option<Type>) -> Option<Query> {
        let (from, inner) = self.leaf();
        let ties: Vec<(&Column, &Column)> = scope
            .iter()
            .flat_map(|o| inner.iter().map(move |i| (o, i)))
            .filter(|(o, i)| o.data_type == i.data_type && matches!(o.data_type, Type::Int | Type::Text))
            .collect();
        let (outer, tied) = ties.choose(self.rng).copied()?;
        let tie = format!("{} = {}", tied.name, outer.name);
        let mut query = match aggregate {
            Some(data_type) => {
                let value = self.aggregate(data_type, &inner);
                bare(from, ItemValue::Text(value), data_type, Group::Whole)
            }
            None => bare(from, ItemValue::Text("1".to_owned()), Type::Int, Group::No),
        };
        query.filter.push(Predicate::Text(tie));
        if self.one_in(3) {
            let more = if aggregate.is_none() && self.one_in(2) {
                let both: Vec<Column> = scope.iter().chain(&inner).cloned().collect();
                self.predicate(&both, 0)
            } else {
                self.predicate(&inner, 1)
            };
            query.filter.push(Predicate::Text(more));
        }
        Some(query)
    }

    /// Now and then, a scalar subquery as a column.
    fn scalar(&mut self, data_type: Type, scope: &[Column], depth: usize) -> Option<Query> {
        if depth == 0 || data_type == Type::Time || !self.one_in(8) {
            return None;
        }
        if self.one_in(2) {
            return self.correlated(scope, Some(data_type));
        }
        let (from, inner) = self.leaf();
        let aggregate = self.aggregate(data_type, &inner);
        Some(bare(from, ItemValue::Text(aggregate), data_type, Group::Whole))
    }

    fn columns<'s>(&self, data_type: Type, scope: &'s [Column]) -> Vec<&'s Column> {
        scope.iter().filter(|c| c.data_type == data_type).collect()
    }

    /// A column of this type, or what comes closest.
    fn column(&mut self, data_type: Type, scope: &[Column]) -> String {
        if let Some(column) = self.columns(data_type, scope).choose(self.rng) {
            return column.name.clone();
        }
        let int = self.columns(Type::Int, scope).first().map(|c| c.name.clone());
        match (data_type, int) {
            (Type::Int, _) => self.pick(&["1", "2", "3"]).to_owned(),
            // Largest integers and floats do not add up exactly.
            (Type::Float, Some(int)) if self.flavour == Flavour::Small => format!("CAST({int} AS DOUBLE)"),
            (Type::Float, _) => "CAST('0.5' AS DOUBLE)".to_owned(),
            (Type::Text, Some(int)) => format!("CAST({int} AS VARCHAR)"),
            (Type::Text, None) => "'x'".to_owned(),
            (Type::Bool, _) => self.predicate(scope, 0),
            (Type::Time, _) => "CAST(NULL AS TIMESTAMP(3))".to_owned(),
        }
    }

    fn expr(&mut self, data_type: Type, scope: &[Column], depth: usize) -> String {
        if depth == 0 || self.one_in(2) {
            return self.column(data_type, scope);
        }
        let d = depth - 1;
        if self.one_in(6) && data_type != Type::Time {
            let (test, a, b) =
                (self.predicate(scope, d), self.expr(data_type, scope, d), self.expr(data_type, scope, d));
            let otherwise = if self.one_in(3) { String::new() } else { format!(" ELSE {b}") };
            return format!("CASE WHEN {test} THEN {a}{otherwise} END");
        }
        let one = self.expr(data_type, scope, d);
        match data_type {
            Type::Int => match self.rng.random_range(0..7) {
                0 => format!("({one} + {})", self.expr(Type::Int, scope, d)),
                1 => format!("({one} - {})", self.expr(Type::Int, scope, d)),
                2 => format!("({one} * {})", self.pick(&[2, 3, -1])),
                3 => format!("({one} % {})", self.pick(&[2, 3])),
                4 => format!("coalesce({one}, {})", self.pick(&[0, 7])),
                5 => format!("nullif({one}, {})", self.pick(&[1, 2])),
                _ => format!("({one} {{/}} {})", self.pick(&[2, 3])),
            },
            Type::Float => match self.rng.random_range(0..3) {
                0 => format!("({one} + {})", self.expr(Type::Float, scope, d)),
                1 => format!("({one} * CAST('0.5' AS DOUBLE))"),
                _ => format!("coalesce({one}, CAST('1.5' AS DOUBLE))"),
            },
            Type::Text => match self.rng.random_range(0..4) {
                0 => format!("upper({one})"),
                1 => format!("({one} || 'x')"),
                2 => format!("coalesce({one}, '-')"),
                _ => format!("nullif({one}, 'x')"),
            },
            Type::Bool => self.predicate(scope, d),
            Type::Time => one,
        }
    }

    /// A condition.
    fn predicate(&mut self, scope: &[Column], depth: usize) -> String {
        if depth > 0 {
            let d = depth - 1;
            match self.rng.random_range(0..8) {
                0 => return format!("({} AND {})", self.predicate(scope, d), self.predicate(scope, d)),
                1 => return format!("({} OR {})", self.predicate(scope, d), self.predicate(scope, d)),
                2 => return format!("(NOT {})", self.predicate(scope, d)),
                _ => {}
            }
        }
        let d = depth.min(1);
        let operator = self.pick(&["=", "<>", "<", "<=", ">", ">="]);
        match self.rng.random_range(0..12) {
            0..4 => {
                let left = self.expr(Type::Int, scope, d);
                let right = if self.one_in(2) {
                    self.rng.random_range(-1..6).to_string()
                } else {
                    self.expr(Type::Int, scope, d)
                };
                format!("{left} {operator} {right}")
            }
            4 => format!("{} {operator} {}", self.expr(Type::Float, scope, d), self.expr(Type::Float, scope, d)),
            5 => {
                let bools = self.columns(Type::Bool, scope);
                match bools.choose(self.rng) {
                    Some(column) => column.name.clone(),
                    None => format!("{} {operator} 'x'", self.expr(Type::Text, scope, d)),
                }
            }
            6 => format!("{} {operator} {}", self.expr(Type::Text, scope, d), self.expr(Type::Text, scope, d)),
            7 => format!("{} LIKE '%{}%'", self.column(Type::Text, scope), self.pick(&["x", "y"])),
            8 => {
                let data_type = self.pick(&TYPES);
                format!("{} IS {}NULL", self.column(data_type, scope), self.pick(&["", "NOT "]))
            }
            9 => format!("{} BETWEEN 1 AND {}", self.expr(Type::Int, scope, d), self.rng.random_range(1..6)),
            10 => format!("{} {}IN (1, 3, 5)", self.expr(Type::Int, scope, d), self.pick(&["", "NOT "])),
            _ => {
                let data_type = self.pick(&[Type::Int, Type::Text]);
                let (a, b) = (self.column(data_type, scope), self.column(data_type, scope));
                format!("{a} IS {}DISTINCT FROM {b}", self.pick(&["", "NOT "]))
            }
        }
    }

    fn aggregate(&mut self, data_type: Type, scope: &[Column]) -> String {
        let filter = |me: &mut Self| {
            if me.one_in(8) { format!(" FILTER (WHERE {})", me.predicate(scope, 0)) } else { String::new() }
        };
        match data_type {
            Type::Int => {
                let value = self.expr(Type::Int, scope, 1);
                let any = self.pick(&TYPES);
                let any = self.column(any, scope);
                let call = match self.rng.random_range(0..9) {
                    0 | 1 => "count(*)".to_owned(),
                    2 => format!("count({any})"),
                    3 => format!("count(DISTINCT {any})"),
                    4 | 5 => format!("sum({value})"),
                    6 => format!("min({value})"),
                    7 => format!("max({value})"),
                    _ => format!("sum(DISTINCT {value})"),
                };
                format!("{call}{}", filter(self))
            }
            Type::Float => {
                let value = self.expr(Type::Float, scope, 1);
                let ints = self.expr(Type::Int, scope, 0);
                // In DataFusion's `min` and `max` of groups NaN is the largest or not by the order of rows, and the least and
                // the greatest are finite.
                let number = match self.flavour {
                    Flavour::Extreme => format!("CASE WHEN abs({value}) < CAST('1e300' AS DOUBLE) THEN {value} END"),
                    Flavour::Small => value.clone(),
                };
                let call = match self.rng.random_range(0..6) {
                    0 | 1 => format!("sum({value})"),
                    2 => format!("min({number})"),
                    3 => format!("max({number})"),
                    4 if self.flavour == Flavour::Small => format!("avg({ints})"),
                    5 if self.flavour == Flavour::Small => format!("median({value})"),
                    _ => format!("max({number})"),
                };
                format!("{call}{}", filter(self))
            }
            Type::Text => {
                let value = self.column(Type::Text, scope);
                match self.rng.random_range(0..3) {
                    0 => format!("min({value})"),
                    1 => format!("max({value})"),
                    _ => format!("string_agg({value}, ',' ORDER BY {value} NULLS LAST)"),
                }
            }
            Type::Bool => format!("bool_{}({})", self.pick(&["and", "or"]), self.predicate(scope, 0)),
            Type::Time => format!("{}({})", self.pick(&["min", "max"]), self.column(Type::Time, scope)),
        }
    }

    /// `PARTITION BY …`, or nothing.
    fn partition(&mut self, scope: &[Column]) -> String {
        if self.one_in(4) {
            return String::new();
        }
        let data_type = self.pick(&[Type::Int, Type::Int, Type::Text]);
        format!("PARTITION BY {} ", self.column(data_type, scope))
    }

    /// A call OVER; `spec` is the partition and the order of those calls that look at neighbours.
    fn window_call(&mut self, data_type: Type, scope: &[Column], spec: &(String, String)) -> String {
        let (own, total) = spec;
        let by = self.partition(scope);
        let value = self.column(data_type, scope);
        let some = self.pick(&TYPES);
        let some = format!("{} {}", self.column(some, scope), self.direction());
        let frame = self.pick(&[
            "",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        ]);
        let of_any = match self.rng.random_range(0..4) {
            0 => Some(format!("lag({value}) OVER ({own}ORDER BY {total})")),
            1 => Some(format!("lead({value}, 2) OVER ({own}ORDER BY {total})")),
            2 => Some(format!("first_value({value}) OVER ({own}ORDER BY {total})")),
            _ => None,
        };
        match (data_type, of_any) {
            (Type::Bool | Type::Time, of_any) => of_any.unwrap_or(value),
            (_, Some(call)) if self.one_in(2) => call,
            (Type::Int, _) => match self.rng.random_range(0..7) {
                0 => format!("row_number() OVER ({own}ORDER BY {total})"),
                1 => format!("rank() OVER ({by}ORDER BY {some})"),
                2 => format!("dense_rank() OVER ({by}ORDER BY {some})"),
                3 => format!("count(*) OVER ({})", by.trim_end()),
                4 => format!("sum({value}) OVER ({by}ORDER BY {some})"),
                5 => format!("sum({value}) OVER ({own}ORDER BY {total} {frame})"),
                _ => format!("max({value}) OVER ({own}ORDER BY {total} {frame})"),
            },
            (Type::Float, _) => format!("max({value}) OVER ({own}ORDER BY {total} {frame})"),
            (Type::Text, _) => format!("min({value}) OVER ({by}ORDER BY {some})"),
        }
    }

    fn direction(&mut self) -> &'static str {
        // Said in full, as engines differ in where NULLs go.
        self.pick(&["ASC NULLS LAST", "ASC NULLS FIRST", "DESC NULLS LAST", "DESC NULLS FIRST"])
    }

    /// An order by all of these.
    fn total_order(&mut self, names: &[String]) -> String {
        // DataFusion's DISTINCT ON gives up on an order that names a column twice.
        let mut once: Vec<&String> = Vec::new();
        names.iter().for_each(|n| {
            if !once.contains(&n) {
                once.push(n);
            }
        });
        let terms: Vec<String> = once.iter().map(|n| format!("{n} {}", self.direction())).collect();
        terms.join(", ")
    }
}

/// `SELECT item FROM …`.
fn bare(from: From, value: ItemValue, data_type: Type, group: Group) -> Query {
    Query {
        distinct: Distinct::No,
        items: vec![Item { value, alias: "c0".to_owned(), data_type }],
        from,
        filter: Vec::new(),
        group,
        having: None,
        qualify: None,
        set: None,
        top: None,
    }
}

fn bare_columns(table: &Table) -> Vec<Column> {
    table.columns.iter().map(|(name, t)| Column { name: (*name).to_owned(), data_type: *t }).collect()
}

/// The name without its alias.
fn tail(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, tail)| tail)
}
