//! The simulators from another process, and at full size.

use amfj_sync_tests::sim::{
    amfj::{AmfjOptions, AmfjSim},
    fleet::Owner,
    kandji::KandjiSim,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{Caller, answer, plain, quick, realistic};

#[tokio::test]
async fn faults_and_mutations_work_from_another_process() {
    let fleet = plain(20);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let control = |sim: &str| Caller::new(format!("{sim}/_sim"), String::new());
    let (tenant, site) = (control(&kandji.control_url()), control(&amfj.control_url()));
    let serial = &fleet.devices[0].serial_number;

    let owner = json!({ "op": "set_owner", "device": serial, "owner": { "name": "Zoë Vega" } });
    let (status, device) = tenant.post("/mutate", owner).await;
    assert_eq!((status, &device["user"]["email"]), (200, &json!("zoe.vega@example.com")));
    let mutations = [
        json!({ "op": "rename_device", "device": serial, "name": "Renamed" }),
        json!({ "op": "set_owner", "device": serial, "owner": null }),
        json!({ "op": "add_device", "name": "Second", "platform": "iPad", "owner": { "name": "Zoë Vega" } }),
        json!({ "op": "revoke_token" }),
    ];
    for mutation in mutations {
        assert_eq!(tenant.post("/mutate", mutation.clone()).await.0, 200, "{mutation}");
    }
    assert_eq!(Caller::kandji(&kandji).get("/devices").await.0, 401);
    let (_, state) = tenant.get("/state").await;
    assert_eq!(state["devices"].as_array().unwrap().len(), 21);
    assert_eq!(kandji.device("Renamed").unwrap().user, Owner::Empty);
    assert_eq!(tenant.post("/mutate", json!({ "op": "fly" })).await.0, 400);
    assert_eq!(
        tenant.post("/mutate", json!({ "op": "rename_device", "device": "nobody", "name": "x" })).await.0,
        400
    );

    let rule =
        json!({ "method": "GET", "path": "/assets", "times": 1, "action": { "status": { "code": 503 } } });
    assert_eq!(site.post("/fault", rule).await.0, 200);
    assert_eq!(Caller::amfj(&amfj).get("/assets").await.0, 503);
    assert_eq!(Caller::amfj(&amfj).get("/assets").await.0, 200);
    assert_eq!(site.post("/fault", json!({ "action": "explode" })).await.0, 400);
    assert_eq!(site.post("/mutate", json!({ "op": "add_user", "name": "Ida" })).await.0, 200);
    Caller::amfj(&amfj).post("/users", json!({ "name": "Written" })).await;
    assert_eq!(site.get("/writes").await.1.as_array().unwrap().len(), 1);
    assert_eq!(site.get("/requests").await.1.as_array().unwrap().len(), 3, "control requests do not count");
}

#[test]
fn the_binary_prints_where_it_listens_and_ends_at_sigterm() {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(["--devices", "60", "--seed", "3", "--latency", "1ms"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let announced: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(announced["devices"], json!(60));
    let kandji = announced["kandji"]["url"].as_str().unwrap().to_owned();
    let token = announced["kandji"]["token"].as_str().unwrap().to_owned();
    let caller = Caller::new(format!("{kandji}/api/v1"), token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(caller.walk()).len(), 60);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn every_control_of_the_page_works_as_it_stands_there() {
    let fleet = realistic(60);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/simulators.md");
    let page = std::fs::read_to_string(page).unwrap();
    let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(commands.len() > 40, "{commands:?}");
    for command in commands {
        let url = command.split(['"', ' ']).find(|word| word.starts_with('$')).unwrap();
        let url = url.replace("$KANDJI", &format!("{}/_sim", kandji.control_url()));
        let url = url.replace("$AMFJ", &format!("{}/_sim", amfj.control_url()));
        let body = command.split_once("-d '").map(|(_, rest)| rest.trim_end_matches('\'').to_owned());
        let method = if command.contains("-X DELETE") { Method::DELETE } else { Method::GET };
        let client = Caller::kandji(&kandji).client;
        let request = match body {
            Some(body) => client.post(url).body(body),
            None => client.request(method, url),
        };
        let (status, said) = answer(request.send().await.unwrap()).await;
        assert_eq!(status, 200, "{command}: {said}");
    }
}
