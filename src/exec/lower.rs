//! Interval plan → one DataFusion physical plan, made once per query.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::aggregate::Aggregate;
use super::assign::Assign;
use super::flat::FlatAggregate;
use super::groups::Call;
use super::hold::Hold;
use super::join::{Expires, Join, Residual, Seen, Side};
use super::judge::Judge;
use super::lapse::{self, Lapse};
use super::latest::Latest;
use super::limit::{Limit, Once};
use super::operator::{Operate, OperatorExec};
use super::recompute::{Input, Recompute};
use super::retract::Retract;
use super::session::SessionAggregate;
use super::share::Share;
use super::source::{Slot, Source};
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::plan::{
    AggregateOperator, AssignOperator, IntervalPlan, JoinOperator, JoinSide, JudgeOperator, LapseOperator,
    LatestOperator, Operator, OperatorNode, ROW_WATERMARK, RecomputeOperator, RetractOperator, RowExpiry, Sees,
};
use crate::time::WindowSpec;

/// Lowers an interval plan.
///
/// # Errors
/// When an expression has no physical form.
pub(super) async fn lower(plan: &IntervalPlan, session: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let planner =
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Operators { batch: batch_session(session) })]);
    Ok(planner.create_physical_plan(&plan.logical, session).await?)
}

/// The session that bodies are planned in: they are ordinary batch plans, with every physical rule that inserts sorts.
fn batch_session(session: &SessionState) -> SessionState {
    let rules = datafusion::physical_optimizer::optimizer::PhysicalOptimizer::new().rules;
    SessionStateBuilder::new_from_existing(session.clone()).with_physical_optimizer_rules(rules).build()
}

struct Operators {
    batch: SessionState,
}

#[async_trait]
impl ExtensionPlanner for Operators {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<OperatorNode>() else { return Ok(None) };
        let schema: SchemaRef = Arc::new(node.schema.as_arrow().clone());
        let mut inputs = physical_inputs.to_vec();
        let lowering = Lowering { planner, session, planning, inputs: logical_inputs, schema: Arc::clone(&schema) };
        let operator: Arc<dyn Operate> = match &node.operator {
            Operator::Recompute(recompute) => {
                let own =
                    DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Self { batch: self.batch.clone() })]);
                let body = own.create_physical_plan(&recompute.body, &self.batch).await?;
                Arc::new(Arc::new(lowering.recompute(recompute, body)?))
            }
            Operator::Aggregate(operator) => {
                let aggregate = Arc::new(lowering.aggregate(operator)?);
                match operator.window.as_ref().filter(|w| w.merges).map(|w| w.spec) {
                    Some(WindowSpec::Session { gap }) => Arc::new(Arc::new(SessionAggregate { aggregate, gap })),
                    _ => lowering.fastest(aggregate, &mut inputs)?,
                }
            }
            other => lowering.lower(other)?,
        };
        Ok(Some(Arc::new(OperatorExec::new(operator, inputs, schema))))
    }
}

struct Lowering<'a> {
    planner: &'a dyn PhysicalPlanner,
    session: &'a dyn Session,
    planning: &'a PhysicalPlanningContext,
    inputs: &'a [&'a LogicalPlan],
    schema: SchemaRef,
}

impl Lowering<'_> {
    fn lower(&self, operator: &Operator) -> DfResult<Arc<dyn Operate>> {
        Ok(match operator {
            Operator::Source(source) => Arc::new(Source { source: source.source, schema: Arc::clone(&self.schema) }),
            Operator::Assign(assign) => Arc::new(self.assign(assign)?),
            Operator::Limit(limit) => {
                Arc::new(Limit { id: limit.id, skip: limit.skip, fetch: limit.fetch, ends_query: limit.ends_query })
            }
            Operator::Retract(retract) => Arc::new(Arc::new(self.retract(retract)?)),
            Operator::Share(share) => Arc::new(Share { id: share.id }),
            Operator::Judge(judge) => Arc::new(Arc::new(self.judge(judge)?)),
            Operator::Hold(hold) => {
                let weight = self.input()?.schema().fields().iter().position(|f| f.name() == WEIGHT_COLUMN);
                Arc::new(Arc::new(Hold { operator: hold.clone(), weight, schema: Arc::clone(&self.schema) }))
            }
            Operator::Lapse(lapse) => Arc::new(Arc::new(self.lapse(lapse)?)),
            Operator::Latest(latest) => Arc::new(Arc::new(self.latest(latest)?)),
            Operator::Once => Arc::new(Once),
            Operator::Slot(slot) => Arc::new(Slot { id: slot.id, input: slot.input }),
            Operator::Join(join) => Arc::new(Arc::new(self.join(join)?)),
            Operator::Recompute(_) | Operator::Aggregate(_) => {
                return Err(DataFusionError::Internal("it is lowered with its inputs".to_owned()));
            }
        })
    }

    fn input(&self) -> DfResult<&LogicalPlan> {
        self.inputs
            .first()
            .copied()
            .ok_or_else(|| DataFusionError::Internal("an operator without its input".to_owned()))
    }

    fn recompute(&self, operator: &RecomputeOperator, body: Arc<dyn ExecutionPlan>) -> DfResult<Recompute> {
        let mut inputs = Vec::new();
        for (plan, keys) in self.inputs.iter().zip(&operator.keys) {
            let schema = plan.schema();
            let physical = |e: &Expr| self.planner.create_physical_expr(e, schema, self.session, self.planning);
            let hidden = |name: &str| schema.fields().iter().position(|f| f.name() == name);
            let (watermark, weight) = (hidden(ROW_WATERMARK), hidden(WEIGHT_COLUMN));
            let visible: Vec<usize> =
                (0..schema.fields().len()).filter(|i| Some(*i) != watermark && Some(*i) != weight).collect();
            inputs.push(Input {
                keys: keys.iter().map(physical).collect::<DfResult<Vec<_>>>()?,
                schema: Arc::new(schema.as_arrow().project(&visible)?),
                visible,
                weight,
            });
        }
        let first = self.input()?;
        let arrow = first.schema().as_arrow();
        let key_types = inputs
            .first()
            .map_or(Ok(Vec::new()), |i| i.keys.iter().map(|k| k.data_type(arrow)).collect::<DfResult<_>>())?;
        let order = operator.order.iter().map(|key| {
            let expr = self.planner.create_physical_expr(&key.expr, first.schema(), self.session, self.planning)?;
            Ok((expr, SortOptions { descending: !key.asc, nulls_first: key.nulls_first }))
        });
        Ok(Recompute {
            id: operator.id,
            body,
            inputs,
            key_types,
            order: order.collect::<DfResult<Vec<_>>>()?,
            unique: operator.unique.clone(),
            expiry: operator.expiry.clone(),
            keep: operator.keep,
            schema: Arc::clone(&self.schema),
        })
    }

    fn join(&self, operator: &JoinOperator) -> DfResult<Join> {
        let &[left, right] = self.inputs else {
            return Err(DataFusionError::Internal("a join of other than two inputs".to_owned()));
        };
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = operator.on.iter().cloned().unzip();
        let mut sides =
            [self.side(left, &left_on, &operator.sides[0])?, self.side(right, &right_on, &operator.sides[1])?];
        let filter = operator.filter.as_ref().map(|filter| self.residual(filter, [left, right], &sides)).transpose()?;
        let place = |schema: &DFSchema, name: &str| schema.fields().iter().position(|f| f.name() == name);
        let mut output = None;
        // The row watermark passes through a lookup, as one more column of the left.
        if self.schema.fields().iter().any(|f| f.name() == ROW_WATERMARK)
            && let Some(watermark) = place(left.schema(), ROW_WATERMARK)
        {
            let (before, behind) = (sides[0].visible.len(), sides[1].visible.len());
            sides[0].visible.push(watermark);
            sides[0].types.push(DataType::Int64);
            sides[0].names.push(ROW_WATERMARK.to_owned());
            output = Some((0..before).chain(before + 1..before + 1 + behind).chain([before]).collect());
        }
        let sees = match &operator.sees {
            Sees::All => Seen::All,
            Sees::Now { waits_for } => Seen::Now { waits_for: waits_for.clone() },
            Sees::Version { times, lags } => {
                let column = times[1].try_as_col().and_then(|c| right.schema().maybe_index_of_column(c));
                let since = column.and_then(|c| sides[1].visible.iter().position(|v| *v == c));
                let since =
                    since.ok_or_else(|| DataFusionError::Internal("the time of a version is no column".to_owned()))?;
                Seen::Version { since, lags: *lags }
            }
        };
        Ok(Join {
            id: operator.id,
            join_type: operator.join_type,
            sides,
            filter,
            sees,
            output,
            null_equals_null: operator.null_equals_null,
            unique: operator.unique.clone(),
            weighted: operator.weighted,
            schema: Arc::clone(&self.schema),
        })
    }

    fn side(&self, plan: &LogicalPlan, on: &[Expr], side: &JoinSide) -> DfResult<Side> {
        let schema = plan.schema();
        let physical = |e: &Expr| self.planner.create_physical_expr(e, schema, self.session, self.planning);
        let hidden = |name: &str| schema.fields().iter().position(|f| f.name() == name);
        let (watermark, weight) = (hidden(ROW_WATERMARK), hidden(WEIGHT_COLUMN));
        let visible: Vec<usize> =
            (0..schema.fields().len()).filter(|i| Some(*i) != watermark && Some(*i) != weight).collect();
        let keys = on.iter().map(physical).collect::<DfResult<Vec<_>>>()?;
        let key_types = keys.iter().map(|k| k.data_type(schema.as_arrow())).collect::<DfResult<Vec<_>>>()?;
        if let Some(bad) = key_types.iter().find(|t| matches!(t, DataType::Map(..) | DataType::Union(..))) {
            return Err(Error::unsupported(format!("a join on values of type {bad}")).into());
        }
        let expires = |e: &RowExpiry| {
            let (after, domain, lag) = (e.after, e.domain, e.lag);
            Ok::<_, DataFusionError>(Expires {
                time: physical(&e.time)?,
                after,
                domain,
                lag,
                sources: e.sources.clone(),
            })
        };
        Ok(Side {
            keys,
            key_types,
            types: visible.iter().map(|i| schema.field(*i).data_type().clone()).collect(),
            names: visible.iter().map(|i| schema.field(*i).name().clone()).collect(),
            visible,
            weight,
            expiry: side.expiry.as_ref().map(expires).transpose()?,
            settled_by: side.settled_by.clone(),
            sources: side.sources.clone(),
        })
    }

    /// A condition over the visible columns of both inputs, compiled for those that it reads.
    fn residual(&self, filter: &Expr, inputs: [&LogicalPlan; 2], sides: &[Side; 2]) -> DfResult<Residual> {
        let (mut fields, mut places) = (Vec::new(), Vec::new());
        for (side, (plan, lowered)) in inputs.into_iter().zip(sides).enumerate() {
            for (place, i) in lowered.visible.iter().enumerate() {
                let (qualifier, field) = plan.schema().qualified_field(*i);
                fields.push((qualifier.cloned(), Arc::clone(field)));
                places.push((side, place));
            }
        }
        let both = DFSchema::new_with_metadata(fields, HashMap::new())?;
        let predicate = self.planner.create_physical_expr(filter, &both, self.session, self.planning)?;
        let mut read: Vec<usize> = collect_columns(&predicate).iter().map(|c| c.index()).collect();
        read.sort_unstable();
        let place_of = |index: usize| read.iter().position(|i| *i == index).unwrap_or_default();
        let predicate = predicate.transform(|expr| {
            Ok(match expr.downcast_ref::<Column>() {
                Some(c) => Transformed::yes(Arc::new(Column::new(c.name(), place_of(c.index()))) as _),
                None => Transformed::no(expr),
            })
        })?;
        let fields = read.iter().map(|i| both.field(*i).as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
        Ok(Residual {
            predicate: predicate.data,
            columns: read.iter().filter_map(|i| places.get(*i).copied()).collect(),
            schema: Arc::new(Schema::new(fields)),
        })
    }

    fn assign(&self, assign: &AssignOperator) -> DfResult<Assign> {
        let schema = self.input()?.schema();
        let position = |name: &str| schema.fields().iter().position(|f| f.name() == name);
        let (watermark, weight) = (position(ROW_WATERMARK), position(WEIGHT_COLUMN));
        let visible = |i: &usize| Some(*i) != watermark && Some(*i) != weight;
        Ok(Assign {
            time: self.planner.create_physical_expr(&assign.time, schema, self.session, self.planning)?,
            spec: assign.spec,
            row_watermark: watermark.filter(|_| assign.judge_late),
            sources: assign.sources.clone(),
            before: (0..schema.fields().len()).filter(visible).collect(),
            after: [watermark, weight]
                .into_iter()
                .flatten()
                .filter(|i| self.schema.fields().iter().any(|f| f.name() == schema.field(*i).name()))
                .collect(),
            schema: Arc::clone(&self.schema),
        })
    }

    /// The flat form of an aggregate where it has one; that may take over what is below it.
    fn fastest(
        &self,
        aggregate: Arc<Aggregate>,
        inputs: &mut Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn Operate>> {
        if let [input] = inputs.as_slice()
            && let Some((flat, below)) = FlatAggregate::new(&aggregate, input)?
        {
            *inputs = vec![below];
            return Ok(Arc::new(Arc::new(flat)));
        }
        Ok(Arc::new(aggregate))
    }

    fn exprs(&self, exprs: &[Expr]) -> DfResult<Vec<Arc<dyn PhysicalExpr>>> {
        let schema = self.input()?.schema();
        exprs.iter().map(|e| self.planner.create_physical_expr(e, schema, self.session, self.planning)).collect()
    }

    fn calls(&self, aggregates: &[Expr]) -> DfResult<Vec<Call>> {
        let schema = self.input()?.schema();
        let input: SchemaRef = Arc::new(schema.as_arrow().clone());
        let call = |expr: &Expr| {
            let properties = self.session.execution_props();
            let expr = &ordered_once(expr.clone())?;
            let lowered = LoweredAggregateBuilder::new(expr, schema, &input, properties, self.planning).build()?;
            Ok(Call { function: lowered.aggregate, filter: lowered.filter, input: Arc::clone(&input) })
        };
        aggregates.iter().map(call).collect()
    }

    fn judge(&self, operator: &JudgeOperator) -> DfResult<Judge> {
        let schema = self.input()?.schema();
        let row_watermark = schema.fields().iter().position(|f| f.name() == ROW_WATERMARK);
        let row_watermark =
            row_watermark.ok_or_else(|| DataFusionError::Internal("rows are judged by their watermark".to_owned()))?;
        Ok(Judge {
            time: self.planner.create_physical_expr(&operator.time, schema, self.session, self.planning)?,
            row_watermark,
            keeps_null: operator.keeps_null,
            sources: operator.sources.clone(),
            columns: (0..schema.fields().len()).filter(|i| *i != row_watermark).collect(),
            schema: Arc::clone(&self.schema),
        })
    }

    fn lapse(&self, operator: &LapseOperator) -> DfResult<Lapse> {
        let schema = self.input()?.schema();
        let hidden = |name: &str| schema.fields().iter().position(|f| f.name() == name);
        let visible: Vec<usize> = (0..schema.fields().len())
            .filter(|i| Some(*i) != hidden(ROW_WATERMARK) && Some(*i) != hidden(WEIGHT_COLUMN))
            .collect();
        let values: Vec<Expr> = operator.limits.iter().map(|l| l.value.clone()).collect();
        let limits = operator
            .limits
            .iter()
            .zip(self.exprs(&values)?)
            .map(|(l, value)| lapse::Limit { value, bound: l.bound, step: l.step, offset: l.offset })
            .collect();
        Ok(Lapse {
            id: operator.id,
            limits,
            input: Arc::new(schema.as_arrow().project(&visible)?),
            visible,
            weight: hidden(WEIGHT_COLUMN),
            weighted: operator.weighted,
            schema: Arc::clone(&self.schema),
        })
    }

    fn latest(&self, operator: &LatestOperator) -> DfResult<Latest> {
        let schema = self.input()?.schema().as_arrow();
        let rows: Vec<usize> = (0..schema.fields().len().saturating_sub(1)).collect();
        let place = |k: &usize| operator.output.iter().position(|o| o == k);
        Ok(Latest {
            id: operator.id,
            input: Arc::new(schema.project(&rows)?),
            key: operator.key.clone(),
            output: operator.output.clone(),
            unique: operator.key.iter().map(place).collect(),
            schema: Arc::clone(&self.schema),
        })
    }

    fn retract(&self, operator: &RetractOperator) -> DfResult<Retract> {
        let schema = self.input()?.schema();
        let group = self.exprs(&operator.group)?;
        let key_types = group.iter().map(|e| e.data_type(schema.as_arrow())).collect::<DfResult<Vec<_>>>()?;
        let weight = schema.fields().iter().position(|f| f.name() == WEIGHT_COLUMN);
        let weight =
            weight.ok_or_else(|| DataFusionError::Internal("rows that come and go have weights".to_owned()))?;
        Ok(Retract {
            id: operator.id,
            group,
            key_types,
            calls: self.calls(&operator.aggregates)?.into_iter().zip(operator.undo.iter().copied()).collect(),
            expiry: operator.expiry.clone(),
            weight,
            schema: Arc::clone(&self.schema),
        })
    }

    fn aggregate(&self, operator: &AggregateOperator) -> DfResult<Aggregate> {
        let schema = self.input()?.schema();
        let input: SchemaRef = Arc::new(schema.as_arrow().clone());
        let group = self.exprs(&operator.group)?;
        let calls = self.calls(&operator.aggregates)?;
        let in_window = |i: &usize| operator.window.as_ref().is_some_and(|w| w.roles.iter().any(|(r, _)| r == i));
        let key: Vec<usize> = (0..group.len()).filter(|i| !in_window(i)).collect();
        let key_types = key.iter().map(|i| group[*i].data_type(&input)).collect::<DfResult<Vec<_>>>()?;
        // Arrow's row encoding, which keys are held in, knows lists and structs; maps and unions it does not.
        if let Some(bad) = key_types.iter().find(|t| matches!(t, DataType::Map(..) | DataType::Union(..))) {
            return Err(Error::unsupported(format!("GROUP BY a value of type {bad}")).into());
        }
        Ok(Aggregate {
            id: operator.id,
            group,
            key,
            key_types,
            calls,
            window: operator.window.clone(),
            emit: operator.emit,
            weighted: operator.weighted,
            schema: Arc::clone(&self.schema),
        })
    }
}

/// An aggregate whose ORDER BY names each expression once: the first says all, and DataFusion's accumulators panic at another.
fn ordered_once(expr: Expr) -> DfResult<Expr> {
    let once = |expr: Expr| {
        let Expr::AggregateFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
        let mut named: Vec<Expr> = Vec::new();
        call.params.order_by.retain(|key| {
            let is_new = !named.contains(&key.expr);
            named.push(key.expr.clone());
            is_new
        });
        Ok(Transformed::yes(Expr::AggregateFunction(call)))
    };
    Ok(expr.transform_up(once)?.data)
}
