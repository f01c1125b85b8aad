//! Making a failing case small: pieces are left out for as long as it still fails.

use std::future::Future;

/// The smallest list that still fails, by leaving out ever smaller runs of it (Zeller's ddmin); at most `tries` attempts.
pub async fn shrink<T: Clone, F: Future<Output = bool>>(
    mut items: Vec<T>,
    mut tries: usize,
    mut fails: impl FnMut(Vec<T>) -> F,
) -> Vec<T> {
    let mut run = items.len().div_ceil(2);
    while run > 0 && !items.is_empty() {
        let mut at = 0;
        let mut shorter = false;
        while at < items.len() {
            if tries == 0 {
                return items;
            }
            tries -= 1;
            let end = (at + run).min(items.len());
            let rest: Vec<T> = items[..at].iter().chain(&items[end..]).cloned().collect();
            if fails(rest.clone()).await {
                items = rest;
                shorter = true;
            } else {
                at = end;
            }
        }
        // The same length again for as long as it helps: what one removal made needless may go now.
        if run == 1 && !shorter {
            break;
        }
        run = if run == 1 { 1 } else { run.div_ceil(2).min(run - 1) };
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_matter_goes() {
        let items: Vec<u32> = (0..100).collect();
        let small = shrink(items, 10_000, |left| async move { left.contains(&17) && left.contains(&80) }).await;
        assert_eq!(small, [17, 80]);
        assert_eq!(shrink(vec![1], 10, |_| async { true }).await, Vec::<i32>::new());
        assert_eq!(shrink(vec![1, 2, 3], 0, |_| async { true }).await, [1, 2, 3], "no tries left");
    }
}
