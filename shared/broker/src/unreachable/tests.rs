//! Each cause has a sentence and a cure of its own.

use super::*;

fn door() -> Door {
    let uri = "amqp://ann:secret@mq.example.com:5672/sy%20nc".parse().unwrap();
    Door::of(&uri, &BrokerTls::default())
}

fn said(why: Closed) -> String {
    Unreachable { door: door(), why }.to_string()
}

#[test]
fn p27_each_cause_is_one_line_with_its_own_cure_and_without_the_password() {
    let table = [
        (Closed::Refused, "nothing listens at mq.example.com:5672", "start RabbitMQ", false),
        (Closed::UnknownHost("x".into()), "no host `mq.example.com`", "correct the host", true),
        (Closed::Network("no route".into()), "no route", "the network between", false),
        (Closed::Silent(Duration::from_millis(2_500)), "did not answer within 2.5 s", "firewall", false),
        (Closed::Credentials, "refuses user `ann`", "rabbitmqctl change_password ann", true),
        (Closed::NoVhost, "no virtual host `sy nc`", "rabbitmqctl add_vhost 'sy nc'", true),
        (Closed::NotForUser, "`ann` into", "set_permissions -p 'sy nc' ann", true),
        (Closed::SpeaksTls, "speaks TLS", "amqps://", true),
        (Closed::SpeaksPlain, "speaks no TLS", "write amqp://", true),
        (Closed::Certificate("it has expired".into()), "it has expired", "broker.ca_file", true),
        (Closed::OwnCertificate("required".into()), "wants to see", "broker.client_key", true),
        (Closed::NoAmqp("a web server".into()), "is no RabbitMQ", "15672", true),
        (Closed::Hung, "without a word", "5672", false),
        (Closed::Other("frame".into()), "(frame)", "check broker.url", false),
    ];
    for (why, what, cure, lasting) in table {
        let text = said(why.clone());
        assert!(text.contains(what) && text.contains(cure), "{text}");
        assert!(!text.contains('\n') && !text.contains("secret"), "{text}");
        assert_eq!(Unreachable { door: door(), why }.is_lasting(), lasting, "{text}");
    }
    assert!(!said(Closed::Credentials).contains("own machine"));
    let guest = Door { user: "guest".into(), ..door() };
    assert!(Unreachable { door: guest, why: Closed::Credentials }.to_string().contains("own machine"));
}

#[test]
fn what_the_broker_says_is_told_apart() {
    for (code, text, why) in [
        (403, "ACCESS_REFUSED - Login was refused", Closed::Credentials),
        (530, "NOT_ALLOWED - vhost nothere not found", Closed::NoVhost),
        (530, "NOT_ALLOWED - access to vhost 'x' refused for user 'ann'", Closed::NotForUser),
    ] {
        assert_eq!(by_broker(code, text), why, "{text}");
    }
    for text in
        ["access to vhost 'x' refused for user 'ann': connection limit (1) is reached", "vhost 'x' is down"]
    {
        assert_eq!(by_broker(530, text), Closed::Other(text.into()));
    }
}

#[test]
fn what_a_port_speaks_is_told_by_its_first_bytes() {
    let error = lapin::Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionAborted));
    let other = || Closed::Other(error.to_string());
    let table: [(&[u8], bool, Option<Closed>); 6] = [
        (b"\x01\x00\x00\x00", true, Some(Closed::SpeaksPlain)),
        (b"\x01\x00\x00\x00", false, Some(other())),
        (b"\x15\x03\x01\x00", false, Some(Closed::SpeaksTls)),
        (b"\x15\x03\x01\x00", true, Some(other())),
        (b"HTTP/1.1 400", false, None),
        (b"220 mail.example.com", true, None),
    ];
    for (bytes, tls, why) in table {
        let judged = judge(&Speech::Said(bytes.to_vec()), tls, &error);
        match why {
            Some(why) => assert_eq!(judged, why, "{bytes:?}"),
            None => assert!(matches!(judged, Closed::NoAmqp(_)), "{judged:?}"),
        }
    }
    assert_eq!(judge(&Speech::HungUp, false, &error), Closed::Hung);
    assert!(matches!(judge(&Speech::Nothing, false, &error), Closed::NoAmqp(_)));
}
