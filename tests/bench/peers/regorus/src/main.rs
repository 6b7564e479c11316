// The same decisions as bench_policy takes, by a general policy engine: the rules as data, the walk as Rego.
// regorus-peer POLICY.yaml N: prints nanoseconds for one decision.
use regorus::{Engine, Value};
use std::time::Instant;

const REGO: &str = r#"
package openshell
import rego.v1

default allow := false

allow if {
    some p in data.network_policies
    some ep in p.endpoints
    lower(ep.host) == lower(input.host)
    ep.port == input.port
    some b in p.binaries
    b.path in input.paths
    some r in ep.rules
    r.allow.method == input.method
    glob.match(r.allow.path, ["/"], input.path)
}
"#;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: u32 = args[2].parse().expect("a number of rules");
    let text = std::fs::read_to_string(&args[1]).expect("the policy");
    let mut engine = Engine::new();
    engine.add_policy("openshell.rego".into(), REGO.into()).expect("rego");
    let start = Instant::now();
    engine.add_data(Value::from_yaml_str(&text).expect("yaml")).expect("data");
    let load = start.elapsed();
    let calls = (200_000 / n).clamp(20, 2000);
    let mut allowed = 0;
    let mut x: u32 = 12345;
    let start = Instant::now();
    for i in 0..calls {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        let k = (x >> 8) % n;
        let method = if i & 1 == 1 { "GET" } else { "DELETE" };
        let input = format!(
            r#"{{"host":"h{k}.test","port":443,"paths":["/usr/bin/curl","/usr/bin/bash","/usr/bin/node"],"method":"{method}","path":"/v1/items/{k}"}}"#
        );
        engine.set_input(Value::from_json_str(&input).expect("input"));
        let r = engine.eval_rule("data.openshell.allow".into()).expect("decision");
        if r == Value::from(true) {
            allowed += 1;
        }
    }
    let took = start.elapsed();
    assert_eq!(allowed, calls / 2, "half of the requests are allowed");
    println!("decide\t{}\tns", took.as_nanos() / calls as u128);
    println!("load\t{:.1}\tms", load.as_secs_f64() * 1e3);
}
