//! Habits that no compiler checks.
