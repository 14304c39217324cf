//! Scripts that once broke a rule.

use sim::{Script, play};

#[test]
fn what_once_broke_a_rule_breaks_none() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let script: Script = text.parse().expect("a script");
        let report = play(&script, None, false);
        assert_eq!(report.violation, None, "{}", path.display());
    }
}
