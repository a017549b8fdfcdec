use proptest::prelude::*;
use serde_json::Value;

/// Generates strings without references: plain words, and strings that are difficult to write in some notations.
pub fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "yes",
        "null",
        "~",
        "012",
        "1e3",
        "0x1f",
        ".5",
        "- a",
        "a: b",
        "a #b",
        "#",
        "'",
        "\"",
        "\\",
        " a",
        "a ",
        "a\n",
        "\n",
        "a\nb",
        "a\n\nb\n",
        "  a\nb",
        "a\n \nb",
        "\ta",
        "a\tb\nc",
        "a\r\nb",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}a",
        "日本",
        "😀",
        "&a",
        "*a",
        "!a",
        "@a",
        "%a",
        "|",
        ">",
        "{a",
        "[a",
        "?",
        ":",
        "---",
        "...",
        "<<",
        "a:",
        "2025-07-20",
        "1:30",
        "end",
        "=",
    ]);
    prop_oneof![
        4 => "[a-z][a-z0-9_]{0,8}",
        2 => odd.prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "[ -~\n\t]{0,16}",
    ]
    .prop_filter("the text accidentally begins a reference", |text| !text.contains("{{") && !text.contains("${"))
}

/// Generates JSON values of up to three levels whose strings contain no references.
pub fn json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        (0_i64..10).prop_map(Value::from),
    ];
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, text().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
