//! When etcd is saved: what k3s' own parser of schedules takes, which is less than other crons do.

use super::file::{BuiltIn, DatastoreKind, File};
use super::finding::{Finding, Findings};
use super::syntax::{Parsed, Wrong};

/// The fields of a schedule: name, least, greatest, and names for numbers.
const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of the month", 1, 31, &[]),
    (
        "month",
        1,
        12,
        &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    ),
    ("day of the week", 0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

const NAMED: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Checks the schedule of etcd's snapshots, and that there is an etcd to save.
pub fn check(file: &File, out: &mut Findings) {
    let section = &file.k3s;
    out.read("snapshot-schedule", &section.snapshot_schedule, schedule);
    let etcd = DatastoreKind::BuiltIn(BuiltIn::Etcd);
    if *section.datastore.value() == etcd {
        return;
    }
    let written = [
        ("snapshot-schedule", section.snapshot_schedule.span()),
        ("snapshot-retention", section.snapshot_retention.span()),
    ];
    for (key, span) in written.into_iter().filter(|(_, span)| !span.is_empty()) {
        let title = format!("`{key}` has no effect: only embedded etcd is saved");
        out.push(Finding::warning(span, title).also(section.datastore.span(), "not etcd"));
    }
}

/// A schedule as in crontab, or one of its short names.
fn schedule(text: &str) -> Parsed<()> {
    let wrong = |hint: String| Wrong {
        what: String::from("no schedule that k3s understands"),
        hint: Some(hint),
    };
    if NAMED.contains(&text) {
        return Ok(());
    }
    if text.starts_with('@') {
        return Err(wrong(format!("the short names are {}", NAMED.join(", "))));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let hint = "five fields, minute to day of the week: `0 */6 * * *` is every six hours";
        return Err(wrong(String::from(hint)));
    }
    for (typed, (name, least, greatest, names)) in fields.iter().zip(FIELDS) {
        let good = |part: &str| part_fits(part, least, greatest, names).is_some();
        if !typed.split(',').all(good) {
            return Err(wrong(format!("the {name} `{typed}` is not within {least} to {greatest}")));
        }
    }
    Ok(())
}

/// One of a field's parts: `*`, `5`, `mon-fri`, `*/10`, `5-20/5`.
fn part_fits(part: &str, least: u32, greatest: u32, names: &[&str]) -> Option<()> {
    let (range, step) = part.split_once('/').map_or((part, None), |(a, b)| (a, Some(b)));
    let number = |text: &str| {
        let word = text.to_lowercase();
        let place = names.iter().position(|name| *name == word);
        let counted = place.and_then(|place| u32::try_from(place).ok()).map(|place| place + least);
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        counted.or_else(|| text.parse().ok().filter(|_| digits))
    };
    let within = |value: &u32| (least..=greatest).contains(value);
    match range.split_once('-') {
        None if range == "*" || range == "?" => {}
        None => drop(number(range).filter(within)?),
        Some((low, high)) => {
            let (low, high) = (number(low).filter(within)?, number(high).filter(within)?);
            (low <= high).then_some(())?;
        }
    }
    match step {
        None => Some(()),
        Some(step) => {
            number(step).filter(|step| (1..=greatest - least + 1).contains(step)).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::schedule;

    #[test]
    fn what_k3s_understands_is_taken_and_the_rest_is_not() {
        for good in [
            "0 */6 * * *",
            "*/5 0-12/3 1,15 jan-MAR mon-fri",
            "0 0 ? * 0",
            "@daily",
            "59 23 31 12 6",
        ] {
            assert!(schedule(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "0 0 * *",
            "0 0 0 * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "@often",
            "a * * * *",
            "0,,5 * * * *",
            "+1 * * * *",
            "1- * * * *",
            "* * L * *",
            "*/99 * * * *",
        ] {
            assert!(schedule(bad).is_err(), "{bad}");
        }
    }
}
