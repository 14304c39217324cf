//! The cases that C's own test program was given, and what came out there.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;

/// A case: `# ALGORITHM NoIPTakeover NODE-FLAGS`, then for each address `ADDRESS NODE KNOWN-ON RESULT`.
const CASES: &str = include_str!("c_4_17_12.txt");

struct Case<'a> {
    title: &'a str,
    lines: Vec<[&'a str; 4]>,
}

fn cases() -> Vec<Case<'static>> {
    let blocks = CASES.split("# ").filter(|block| !block.is_empty());
    let case = |block: &'static str| {
        let (title, lines) = block.split_once('\n').unwrap();
        let fields = |line: &'static str| {
            let fields: Vec<_> = line.split(' ').collect();
            fields.try_into().unwrap()
        };
        let lines = lines.lines().map(fields).collect();
        Case { title, lines }
    };
    blocks.map(case).collect()
}

fn node(text: &str) -> Pnn {
    text.parse::<u32>().map_or(Pnn::UNKNOWN, Pnn)
}

/// What C's program makes of its input: all nodes in the list know an address and its node; those that are
/// not healthy have nothing available.
fn run(case: &Case<'_>) -> String {
    let words: Vec<_> = case.title.split(' ').collect();
    let flags: Vec<u32> = words[2]
        .split(',')
        .map(|flag| flag.parse().unwrap())
        .collect();
    let rules = Rules {
        algorithm: match words[0] {
            "det" => Algorithm::Deterministic,
            "nondet" => Algorithm::Nondeterministic,
            _ => Algorithm::Lcp2,
        },
        no_takeover: words[1] == "1",
        nodes: u32::try_from(flags.len()).unwrap(),
        ..Rules::default()
    };
    let (mut known, mut available) = (Lists::new(), Lists::new());
    for [address, host, on, _] in &case.lines {
        let ip = PublicIp {
            pnn: node(host),
            addr: address.parse::<IpAddr>().unwrap().into(),
        };
        for on in on.split(',').map(node) {
            known.entry(on).or_default().push(ip.clone());
            if flags[on.0 as usize] == 0 {
                available.entry(on).or_default().push(ip.clone());
            }
        }
    }
    let mut text = String::new();
    for place in allocate(&rules, &known, &available) {
        let node = place.node.map_or("-1".to_owned(), |node| node.to_string());
        writeln!(text, "{} {node}", place.ip).unwrap();
    }
    text
}

#[test]
fn addresses_go_where_c_puts_them() {
    let cases = cases();
    assert!(cases.len() > 100);
    for case in cases {
        let mut expected: Vec<(u128, String)> = Vec::new();
        for [address, _, _, result] in &case.lines {
            expected.push((
                key(address.parse().unwrap()),
                format!("{address} {result}\n"),
            ));
        }
        expected.sort_by_key(|(key, _)| core::cmp::Reverse(*key));
        let expected: String = expected.into_iter().map(|(_, line)| line).collect();
        assert_eq!(run(&case), expected, "{}", case.title);
    }
}

fn lists(nodes: &[(u32, &[(&str, &str)])]) -> Lists {
    let list = |(of, ips): &(u32, &[(&str, &str)])| {
        let ip = |(address, host): &(&str, &str)| PublicIp {
            pnn: node(host),
            addr: address.parse::<IpAddr>().unwrap().into(),
        };
        (Pnn(*of), ips.iter().map(ip).collect())
    };
    nodes.iter().map(list).collect()
}

#[test]
fn a_node_is_believed_about_itself_alone() {
    let known = lists(&[(0, &[("10.0.0.1", "1")]), (1, &[("10.0.0.1", "-1")])]);
    let rules = Rules {
        nodes: 2,
        ..Rules::default()
    };
    let places = allocate(&rules, &known, &known);
    assert_eq!(
        places[0].node,
        Some(Pnn(0)),
        "node 1 does not say that it has it"
    );
    assert_eq!(places[0].known_on, BTreeSet::from([Pnn(0), Pnn(1)]));
}

#[test]
fn there_is_something_to_do_if_somebody_has_or_could_have_an_address() {
    let none = lists(&[(0, &[])]);
    let free = lists(&[(0, &[("10.0.0.1", "-1")])]);
    let elsewhere = lists(&[(0, &[("10.0.0.1", "1")])]);
    let hosted = lists(&[(0, &[("10.0.0.1", "0")])]);
    assert!(!can_host(&none, &none));
    assert!(!can_host(&free, &none));
    assert!(!can_host(&elsewhere, &none));
    assert!(can_host(&free, &free));
    assert!(can_host(&hosted, &none));
}

#[test]
fn a_node_that_asks_for_it_gets_addresses() {
    let ips: Vec<String> = (1..=6).map(|n| format!("10.0.0.{n}")).collect();
    let placed = |hosts: &[&str]| -> Vec<(String, String)> {
        let pairs = ips.iter().zip(hosts.iter().cycle());
        pairs
            .map(|(ip, host)| (ip.clone(), (*host).to_owned()))
            .collect()
    };
    // node 1 has one of six, and no failback would bring it more
    let known: Lists = [0_u32, 1]
        .into_iter()
        .map(|of| {
            let list = placed(&["0", "0", "0", "0", "0", "1"]);
            let ip = |(address, host): (String, String)| PublicIp {
                pnn: node(&host),
                addr: address.parse::<IpAddr>().unwrap().into(),
            };
            (Pnn(of), list.into_iter().map(ip).collect())
        })
        .collect();
    let count = |rebalance: &[Pnn], no_failback| {
        let rules = Rules {
            nodes: 2,
            no_failback,
            rebalance: rebalance.iter().copied().collect(),
            ..Rules::default()
        };
        let places = allocate(&rules, &known, &known);
        places
            .iter()
            .filter(|place| place.node == Some(Pnn(1)))
            .count()
    };
    assert_eq!(count(&[], false), 1);
    assert_eq!(count(&[Pnn(1), Pnn(7)], false), 3);
    assert_eq!(count(&[Pnn(1)], true), 1);
}
