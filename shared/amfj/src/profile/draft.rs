//! A first draft of a profile from an OpenAPI document.
