//! `$G1`, `$G2` …: the groups of a `~regex` path, as they occur in its source.

/// A piece of a text with groups in it.
pub(crate) enum Part<'a> {
    Literal(&'a str),
    /// The number of a group, from 1.
    Group(usize),
    /// `$G` and a number that is none of a group.
    Unknown(&'a str),
}

/// Cuts a text at its groups. Of the digits behind `$G` as many belong to the group
/// as make the number of one: with a single group `$G101` is `$G1` and `01`, as in
/// MediaMTX.
pub(crate) fn parts(text: &str, groups: usize) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let digits = |at: usize| rest[at + 2..].bytes().take_while(u8::is_ascii_digit).count();
        let found = rest.match_indices("$G").map(|(at, _)| at).find(|at| digits(*at) > 0);
        match found {
            Some(0) => {
                let group = (1..=digits(0))
                    .map_while(|len| {
                        rest[2..2 + len].parse::<usize>().ok().filter(|n| (1..=groups).contains(n)).map(|n| (n, len))
                    })
                    .last();
                let (part, end) = match group {
                    Some((number, len)) => (Part::Group(number), 2 + len),
                    None => (Part::Unknown(&rest[..2 + digits(0)]), 2 + digits(0)),
                };
                rest = &rest[end..];
                Some(part)
            }
            Some(at) => {
                let literal = &rest[..at];
                rest = &rest[at..];
                Some(Part::Literal(literal))
            }
            None => Some(Part::Literal(std::mem::take(&mut rest))),
        }
    })
}

/// The text with each group replaced by what it stands for.
pub(crate) fn expand(text: &str, groups: &[&str]) -> String {
    parts(text, groups.len())
        .map(|part| match part {
            Part::Group(number) => groups[number - 1],
            Part::Literal(text) | Part::Unknown(text) => text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_replaced() {
        assert_eq!(expand("$G1-$G2$G1$", &["a", "$G1"]), "a-$G1a$");
        assert_eq!(expand("$G101", &["a"]), "a01");
        assert_eq!(expand("$G12", &["a"; 12]), "a");
        assert_eq!(expand("$G0$G2$Gx$G", &["a"]), "$G0$G2$Gx$G");
        assert_eq!(expand("", &[]), "");
    }
}
