//! Inventar: no `OpenAPI`, one script, whole entries in every PUT, refusals with status 200.

use amfj_sync_tests::interfaces::{Inventar, Served};
use anyhow::{Context as _, Result, ensure};

use crate::support::{MORE, Words, applied, change, integration, is_in_step, kandji, other, planned};

const WORDS: Words = Words {
    laptop: "Notebook",
    tablet: "Tablet",
    location: "Bits & Bobs",
    serial: "Serial number",
    tag: "Inventory no.",
    enrolled: "Enrolled",
    managed: "Managed",
    platform: "Platform",
};
const USER: &str = "amfj-sync";
const PASSWORD: &str = "inventar-password-4711";

fn filled() -> Inventar {
    let mut inventar = Inventar::new(USER, PASSWORD);
    inventar.add_person("Ana Horvat", "ana@example.com");
    inventar.add_person("Dana Reyes", "dana@example.com");
    let gita = inventar.add_person("Gita Rao", "gita@example.com");
    inventar.add_item("Ana's MacBook", &[("12", "\"Q\" & A")], "bought <used>");
    let lobby = inventar.add_item("Lobby <2> & more", &[], "");
    if let Some(lobby) = inventar.items.get_mut(&lobby) {
        lobby.person = gita.to_string();
    }
    for number in 4..4 + MORE {
        inventar.add_item(&other(number).1, &[], "");
    }
    inventar
}

/// One item as `name|kind|room|person|form|note`.
fn only(service: &Served<Inventar>, name: &str) -> Result<String> {
    service.with(|inventar| {
        let named = inventar.named(name);
        ensure!(named.len() == 1, "there are {} of {name}", named.len());
        let item = named.first().context("none")?;
        let holder = item.person.parse().ok().and_then(|id: u64| inventar.persons.get(&id));
        let holder = holder.map_or("nobody", |(name, _)| name);
        let form: Vec<String> = item.form.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let form = form.join(" ");
        Ok(format!("{}|{}|{}|{holder}|{form}|{}", item.name, item.kind, item.room, item.note))
    })
}

#[tokio::test]
async fn inventar_is_kept_in_step_with_a_profile_alone() -> Result<()> {
    let service = Served::start(filled()).await?;
    let kandji = kandji().await?;
    let integration =
        integration(&kandji, &service.url("/inventar"), PASSWORD, &WORDS).set("amfj.client_id", USER);
    let mut pipeline = planned("inventar", &integration).await?;
    ensure!(service.with(|inventar| inventar.writes) == 0, "a plan writes nothing");

    service.with(|inventar| inventar.busy = 2);
    applied(&mut pipeline, "inventar", &integration).await?;
    is_in_step(&pipeline).await?;
    let ana = only(&service, "Ana's MacBook")?;
    let wanted = "Ana's MacBook|1|Bits & Bobs|Ana Horvat|10=1 11=Mac 12=\"Q\" & A 7=C02ANA01 8=12,5 \
                  9=14.03.2024|bought <used>";
    ensure!(ana == wanted, "{ana}");
    let lobby = only(&service, "Lobby <2> & more")?;
    let wanted = "Lobby <2> & more|1|Bits & Bobs|Ben Carter|10=1 11=Mac 7=C02LOB02 9=14.03.2024|";
    ensure!(lobby == wanted, "{lobby}");
    let spare = only(&service, "Spare iPad")?;
    ensure!(spare == "Spare iPad|2|Bits & Bobs|nobody|10=1 11=iPad 7=DMPSPARE3 9=14.03.2024|", "{spare}");
    for number in 4..4 + MORE {
        let (serial, name) = other(number);
        ensure!(only(&service, &name)?.contains(&serial), "{name}");
    }

    change(&kandji)?;
    pipeline.run().await?;
    let ana = only(&service, "Ana's MacBook")?;
    let wanted = "Ana's MacBook|1|Bits & Bobs|Dana Reyes|10=1 11=Mac 12=\"Q\" & A 7=C02ANA01 \
                  9=14.03.2024|bought <used>";
    ensure!(ana == wanted, "{ana}");
    ensure!(only(&service, "Spare iPad")?.contains("|Ana Horvat|"));
    let before = service.with(|inventar| inventar.writes);
    pipeline.run().await?;
    is_in_step(&pipeline).await?;
    service.with(|inventar| {
        ensure!(inventar.writes == before, "an idle run wrote {} times", inventar.writes - before);
        ensure!(inventar.complaints.is_empty(), "{:?}", inventar.complaints);
        Ok(())
    })
}
