use super::*;

#[test]
fn p27_secrets_are_masked_in_shown_lines() {
    for (line, shown) in [
        (r#"token = "hunter2""#, r#"token = "*******""#),
        (r"token = 'hunter2' # why", r"token = '*******'******"),
        ("token = hunter2-x", "token = *********"),
        (r#"api_token="hunter2""#, r#"api_token="*******""#),
        (r#"token_value = "hunter2""#, r#"token_value = "*******""#),
        (r#"token = { env = "KANDJI_TOKEN" }"#, r#"token = { env = "KANDJI_TOKEN" }"#),
        (r#"token = { evn = "hunter2", file = "/a" }"#, r#"token = { evn = "*******", file = "/a" }"#),
        (r#"token = { env = "0b1c2d3e-7a8d-4e23-9c5f" }"#, r#"token = { env = "***********************" }"#),
        (r#"kandji = { token = "hunter2", x = 1 }"#, r#"kandji = { token = "*******", x = 1 }"#),
        (r#"url = "amqp://guest:pa$s@h:5672/%2f""#, r#"url = "amqp://guest:****@h:5672/%2f""#),
        (r#"url = "https://hunter2@h/x""#, r#"url = "https://*******@h/x""#),
        (r#"tokn = "0b1c2d3e7a8d4e239c5f""#, r#"tokn = "********************""#),
        ("token = \"unterminated", "token = \"************"),
        (r#"id = "acme""#, r#"id = "acme""#),
        (r#"tag = "Zk9q;7Rw(T4,ysP""#, r#"tag = "***************""#),
    ] {
        assert_eq!(mask(line), shown);
    }
}

/// Whatever signs a password has, and wherever a token was written: its letters are not shown.
#[test]
fn p27_no_line_shows_a_secret_that_was_mistyped() {
    let passwords = [
        "pa/hunter2",
        "pa@hunter2",
        "pa#hunter2",
        "pa?hunter2",
        "pa%hunter2",
        "12/hunter2",
        "hunter2/1",
        "a:hunter2",
        "a b/hunter2",
        "a'hunter2",
        "//hunter2",
    ];
    for password in passwords {
        for line in [
            format!("url = \"amqp://user:{password}@broker.example.com:5672/%2f\""),
            format!("url = amqp://user:{password}@broker.example.com:5672/%2f"),
            format!("broker = {{ url = \"amqps://user:{password}@h\", partitions = 4 }}"),
            format!("api_url = \"https://user:{password}@amfj.example.com/v1\""),
            format!("api_url = \"user:{password}@amfj.example.com/v1\""),
            format!("uri = \"amqp://user:{password}@h"),
        ] {
            assert!(!mask(&line).contains("hunter2"), "{line}: {}", mask(&line));
        }
    }
    for line in [
        "auth_header = \"Bearer hunter2\"",
        "auth_header = \"hunter2\"",
        "auth_header = hunter2",
        "auth_scheme = \"Bearer hunter2\" # hunter2",
        "amfj = { auth_header = 'X: hunter2', api_url = \"https://amfj.example.com\" }",
        "token = \"pa\"hunter2\"",
        "token = \"pa\\\"hunter2\"",
        "token = 'it's hunter2'",
        "token = [\"x\", \"hunter2\"]",
        "token = { env = \"hunter2\" }",
        "token = { file = \"hunter2\" }",
        "token = { env = hunter2 }",
        "api_url = \"https://amfj.example.com?token=hunter2\"",
        "api_url = \"amfj.example.com?token=hunter2\"",
        "api_url = \"https://amfj.example.com#hunter2\"",
        "api_url = \"https://amfj.example.com:hunter2\"",
        "api_url = \"https://amfj.example.com/v1/Hunter2-hunter2\"",
        "url = \"amqp://user:hunter2\"",
        "password = \"hunter2\"",
    ] {
        assert!(!mask(line).to_lowercase().contains("hunter2"), "{line}: {}", mask(line));
    }
}

/// Tokens as services give them, in a key where nobody expects one.
#[test]
fn p27_what_looks_like_a_token_is_shown_nowhere() {
    let tokens = [
        "0b1c2d3e-7a8d-4e23-9c5f-1122aabbccdd",
        "Zk/9q+7Rw=T4vXysP1kDm0uJ",
        "Zk/9q+7Rw=T4",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ATATT3xFfGF0=ABCD1234",
        "ghp_0123456789abcdefghij",
        "abcdefGHIJKLmnopqrstUV",
        "aGVsbG8gd29ybGQhISE=",
    ];
    let keys = ["mode", "id", "prefix", "interval", "tag", "\"Serial Number\"", "default_asset_type", "ulr"];
    for token in tokens {
        assert!(looks_like_token(token), "{token}");
        for key in keys {
            for line in [
                format!("{key} = \"{token}\""),
                format!("{key}={token}"),
                format!("{key} = [\"a\", '{token}']"),
                format!("{key} = \"Bearer {token}\""),
            ] {
                assert!(!mask(&line).contains(token), "{line}: {}", mask(&line));
            }
        }
        let sentence = mask_sentence(format!("\"id\" must be one of a, not \"{token}\""));
        assert!(!sentence.contains(token), "{sentence}");
    }
    for harmless in [
        "details.volumes[0].capacity",
        "C02TEST00001",
        "AMFJ_SYNC__INTEGRATION__0__SYNC__AUTO_CHECKOUT",
        "/run/secrets/token-of-acme1",
        "./amfj-sync.example.toml",
        "acme1.api.eu.kandji.io:443",
        "details.hardware_overview.total_number_of_cores",
        "until-linked",
        "400d",
    ] {
        assert!(!looks_like_token(harmless), "{harmless}");
    }
}
