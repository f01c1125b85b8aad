//! Did-you-mean: the known name nearest to a mistaken one.

/// The candidate most like `name`: the same but for case, else one within a third of its length in edits.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_is_near() {
        let names = ["auction", "bidder", "price"];
        assert_eq!(nearest("auctoin", names), Some("auction"));
        assert_eq!(nearest("PRICE", names), Some("price"));
        assert_eq!(nearest("seller", names), None);
    }
}
