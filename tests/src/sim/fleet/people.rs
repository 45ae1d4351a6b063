//! The people of a fleet, with the traps of Kandji users.

use std::collections::{BTreeMap, HashSet};

use rand::{Rng, rngs::StdRng, seq::SliceRandom};
use serde_json::Value;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use uuid::{Builder, Uuid};

use super::{Person, Trap, catalog};

/// A random version 4 UUID that depends on nothing but the generator.
pub(crate) fn uuid_of(rng: &mut StdRng) -> Uuid {
    Builder::from_random_bytes(rng.random()).into_uuid()
}

/// `Zoë O’Brien` gives `zoe.obrien@example.com`.
pub(crate) fn email_of(name: &str) -> String {
    let folded: String = name
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        .filter_map(|c| match c {
            'ł' | 'Ł' => Some('l'),
            'ø' | 'Ø' => Some('o'),
            'ı' => Some('i'),
            ' ' => Some('.'),
            c if c.is_ascii_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    format!("{folded}@example.com")
}

/// People with unique names, emails and ids.
pub(crate) fn people(count: usize, rng: &mut StdRng) -> Vec<Person> {
    let mut taken = HashSet::new();
    let mut people = Vec::with_capacity(count);
    while people.len() < count {
        let given = catalog::GIVEN[rng.random_range(0..catalog::GIVEN.len())];
        let family = catalog::FAMILY[rng.random_range(0..catalog::FAMILY.len())];
        let mut name = format!("{given} {family}");
        // A few hundred combinations are soon used up: then people go by their middle initials.
        let mut initials = 0_u32;
        while !taken.insert(email_of(&name)) {
            initials += 1;
            name = format!("{given} {} {family}", middle(initials, people.len()));
        }
        people.push(Person {
            email: Some(email_of(&name)),
            name: Some(name),
            id: Value::String(uuid_of(rng).to_string()),
            is_archived: false,
        });
    }
    people
}

/// A middle name that gets longer the more attempts it takes.
fn middle(attempt: u32, salt: usize) -> String {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap_or(0));
    match attempt {
        1 => format!("{}.", letter(salt)),
        2 => format!("{}.{}.", letter(salt), letter(salt / 26)),
        _ => format!("{}. {salt}", letter(attempt as usize)),
    }
}

/// Lays the traps of Kandji users; each list holds positions in `people`.
pub(crate) fn lay_traps(people: &mut [Person], rng: &mut StdRng) -> BTreeMap<Trap, Vec<usize>> {
    // The first person is left alone: later the owner of thirty devices.
    let mut order: Vec<usize> = (1..people.len()).collect();
    order.shuffle(rng);
    let mut trapped: BTreeMap<Trap, Vec<usize>> = BTreeMap::new();
    for &trap in Trap::OF_PEOPLE {
        let count = trap.count(people.len());
        if order.len() < count {
            break;
        }
        let caught = order.split_off(order.len() - count);
        for (n, &position) in caught.iter().enumerate() {
            spoil(people, trap, n, position, &caught);
        }
        trapped.insert(trap, caught);
    }
    trapped
}

fn spoil(people: &mut [Person], trap: Trap, n: usize, position: usize, caught: &[usize]) {
    let first_of_pair = (n % 2 == 1).then(|| people[caught[n - 1]].clone());
    let person = &mut people[position];
    match trap {
        Trap::IntegerUserId => person.id = Value::from(1000 + position),
        Trap::UserWithoutId => person.id = Value::Null,
        Trap::BlankEmail => person.email = n.is_multiple_of(2).then(String::new),
        Trap::BlankUserName => person.name = Some(String::new()),
        Trap::ArchivedUser => person.is_archived = true,
        Trap::SharedEmail => {
            if let Some(first) = first_of_pair {
                person.name = first.name;
                person.email = first.email.map(|email| email.to_uppercase());
            }
        }
        Trap::EqualUserNames => {
            if let Some(first) = first_of_pair {
                person.name = first.name;
            }
        }
        _ => {}
    }
}
