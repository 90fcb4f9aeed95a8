//! SOAP 1.2 as ONVIF cameras speak it: envelopes, WS-UsernameToken, faults. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha1::{Digest, Sha1};

use super::xml;
use crate::redact::Secret;

const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const TYPE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
const ENCODING: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// A message with this body and, for a user, the token that proves the password at `now`
/// by the camera's clock.
pub fn envelope(body: &str, login: Option<(&str, &Secret, SystemTime)>) -> String {
    let header = login.map(|(user, password, now)| token(user, password, now)).unwrap_or_default();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:trt=\"http://www.onvif.org/ver10/media/wsdl\" xmlns:tr2=\"http://www.onvif.org/ver20/media/wsdl\" \
         xmlns:tptz=\"http://www.onvif.org/ver20/ptz/wsdl\" xmlns:timg=\"http://www.onvif.org/ver20/imaging/wsdl\">\
         <s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn token(user: &str, password: &Secret, now: SystemTime) -> String {
    let nonce: [u8; 16] = rand::random();
    let created = created(now);
    format!(
        "<wsse:Security s:mustUnderstand=\"1\" xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\"><wsse:UsernameToken>\
         <wsse:Username>{}</wsse:Username><wsse:Password Type=\"{TYPE}\">{}</wsse:Password>\
         <wsse:Nonce EncodingType=\"{ENCODING}\">{}</wsse:Nonce><wsu:Created>{created}</wsu:Created>\
         </wsse:UsernameToken></wsse:Security>",
        xml::escape(user),
        password_digest(&nonce, &created, password.expose()),
        STANDARD.encode(nonce)
    )
}

/// A camera's clock may say anything; what has no four digits for its year has no text.
fn created(now: SystemTime) -> String {
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(now.clamp(UNIX_EPOCH, last)).to_string()
}

/// WS-UsernameToken 1.0 §3.1: Base64(SHA-1(nonce + created + password)).
fn password_digest(nonce: &[u8], created: &str, password: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(nonce);
    hash.update(created.as_bytes());
    hash.update(password.as_bytes());
    STANDARD.encode(hash.finalize())
}

/// What is wrong, in the camera's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SoapFault {
    /// The codes without their prefixes, outermost first: `Sender`, `InvalidArgVal`, `NoProfile`.
    pub codes: Vec<String>,
    /// For people.
    pub reason: String,
}

impl SoapFault {
    /// Whether one of the codes is `code`.
    pub fn is(&self, code: &str) -> bool {
        self.codes.iter().any(|c| c == code)
    }

    /// Whether the login was not accepted: ONVIF Core §5.8.2.3, WS-Security 1.1 §12.
    pub fn denies(&self) -> bool {
        ["NotAuthorized", "FailedAuthentication", "FailedCheck", "InvalidSecurityToken"]
            .iter()
            .any(|code| self.is(code))
    }

    /// The last code, and the reason.
    pub fn words(&self) -> String {
        match (self.codes.last().map(String::as_str).unwrap_or_default(), self.reason.as_str()) {
            ("", "") => "it does not say why".into(),
            (code, "") => code.into(),
            ("", reason) => reason.into(),
            (code, reason) => format!("{reason} ({code})"),
        }
    }
}

/// What an answer came to.
#[derive(Debug)]
pub enum Opened<T> {
    /// The response.
    Response(T),
    /// A fault.
    Fault(SoapFault),
}

/// Reads an answer whose body holds `<{name}>`. The error is a half-sentence.
pub fn open<T: DeserializeOwned>(text: &str, name: &str) -> Result<Opened<T>, String> {
    let (found, inner) = body(text)?;
    if found == "Fault" {
        let fault: Fault = xml::read(inner, &["Fault"])?;
        return Ok(Opened::Fault(fault.into()));
    }
    xml::read(inner, &[name]).map(Opened::Response)
}

/// The one element in the body of an envelope: its local name, and its text.
fn body(text: &str) -> Result<(String, &str), String> {
    let root = xml::check(text)?;
    if root != "Envelope" {
        return Err(format!("it is a <{}>, no SOAP", xml::short(&root)));
    }
    let mut reader = Reader::from_str(text);
    let (mut depth, mut inside, mut found) = (0usize, false, None);
    loop {
        let at = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|error| format!("it is no XML: {error}"))?;
        let after = reader.buffer_position() as usize;
        match event {
            Event::Start(start) => {
                depth += 1;
                let name = start.local_name().as_ref().to_owned();
                match depth {
                    2 => inside = name == "Body",
                    3 if inside && found.is_none() => found = Some((name, at)),
                    _ => {}
                }
            }
            Event::Empty(start) if depth == 2 && inside => {
                let name = start.local_name().as_ref().to_owned();
                return text.get(at..after).map(|inner| (name, inner)).ok_or_else(|| "it is broken".into());
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth == 2
                    && let Some((name, start)) = found.take()
                {
                    return text.get(start..after).map(|inner| (name, inner)).ok_or_else(|| "it is broken".into());
                }
            }
            Event::Eof => return Err("it has an empty body".into()),
            _ => {}
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fault {
    #[serde(rename = "Code")]
    code: Code,
    #[serde(rename = "Reason")]
    reason: Reason,
    // SOAP 1.1, which some cameras fall back to.
    faultcode: String,
    faultstring: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Code {
    #[serde(rename = "Value")]
    value: String,
    #[serde(rename = "Subcode")]
    subcode: Option<Box<Code>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reason {
    #[serde(rename = "Text")]
    text: Vec<String>,
}

impl From<Fault> for SoapFault {
    fn from(fault: Fault) -> SoapFault {
        let bare = |code: &str| xml::short(code.rsplit(':').next().unwrap_or_default());
        let mut codes = Vec::new();
        let mut next = Some(&fault.code);
        while let Some(code) = next {
            codes.push(bare(&code.value));
            next = code.subcode.as_deref();
        }
        codes.push(bare(&fault.faultcode));
        codes.retain(|code| !code.is_empty());
        let reason = fault.reason.text.into_iter().next().unwrap_or(fault.faultstring);
        SoapFault { codes, reason: xml::short(&reason) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Presets {
        #[serde(rename = "Preset", default)]
        presets: Vec<Preset>,
    }

    #[derive(Debug, Deserialize)]
    struct Preset {
        #[serde(rename = "@token")]
        token: String,
        #[serde(rename = "Name", default)]
        name: String,
    }

    fn message(body: &str) -> String {
        envelope(body, None)
    }

    #[test]
    fn no_clock_is_too_odd() {
        let year = Duration::from_secs(31_557_600);
        for (now, text) in [
            (UNIX_EPOCH - year * 69, "1970-01-01T00:00:00Z"),
            (UNIX_EPOCH + year * 9_000, "9999-12-31T23:59:59Z"),
            (UNIX_EPOCH + Duration::from_secs(86_400), "1970-01-02T00:00:00Z"),
        ] {
            assert_eq!(created(now), text);
            assert!(envelope("", Some(("u", &"p".into(), now))).contains(text));
        }
    }

    #[test]
    fn the_check_vector_of_the_specification() {
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let digest = password_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn a_token_has_no_password_in_it() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_284_623_445);
        let text = envelope("<a/>", Some(("o<p", &Secret::from("hush"), now)));
        assert!(text.contains("2010-09-16T07:50:45Z") && text.contains("o&lt;p") && !text.contains("hush"), "{text}");
        assert!(xml::check(&text).is_ok());
        assert_ne!(text, envelope("<a/>", Some(("o<p", &Secret::from("hush"), now))), "a nonce is used once");
    }

    #[test]
    fn a_response_is_opened() {
        let text = message(
            "<tptz:GetPresetsResponse> <tptz:Preset token=\"P001\"><tt:Name>Gate &amp; é</tt:Name></tptz:Preset>\
             <tptz:Preset token=\"P002\"/></tptz:GetPresetsResponse>",
        );
        let Ok(Opened::Response(presets)) = open::<Presets>(&text, "GetPresetsResponse") else { panic!() };
        let seen: Vec<(&str, &str)> = presets.presets.iter().map(|p| (p.token.as_str(), p.name.as_str())).collect();
        assert_eq!(seen, [("P001", "Gate & é"), ("P002", "")]);
        let empty = message("\n<tptz:GetPresetsResponse/>\n");
        assert!(matches!(open::<Presets>(&empty, "GetPresetsResponse"), Ok(Opened::Response(_))));
        assert!(open::<Presets>(&message("<a/>"), "GetPresetsResponse").unwrap_err().contains("<a>"));
        for text in ["", "<html/>", &message(""), "<Envelope><Header><Body><a/></Body></Header></Envelope>"] {
            assert!(open::<Presets>(text, "GetPresetsResponse").is_err(), "{text}");
        }
    }

    #[test]
    fn faults_tell_their_codes() {
        let text = message(
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:InvalidArgVal</s:Value><s:Subcode>\
             <s:Value>ter:NoProfile</s:Value></s:Subcode></s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"en\">No such \
             profile</s:Text></s:Reason></s:Fault>",
        );
        let Ok(Opened::Fault(fault)) = open::<Presets>(&text, "X") else { panic!() };
        assert_eq!(fault.codes, ["Sender", "InvalidArgVal", "NoProfile"]);
        assert!(fault.is("NoProfile") && !fault.is("NotAuthorized"));
        assert_eq!(fault.words(), "No such profile (NoProfile)");
        let old = "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"x\"><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:NotAuthorized\
                   </faultcode><faultstring>no</faultstring></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>";
        let Ok(Opened::Fault(fault)) = open::<Presets>(old, "X") else { panic!() };
        assert!(fault.is("NotAuthorized") && fault.denies() && fault.reason == "no");
        let wss = message(
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>wsse:FailedAuthentication</s:Value></s:Subcode>\
             </s:Code><s:Reason><s:Text>The security token could not be authenticated</s:Text></s:Reason></s:Fault>",
        );
        let Ok(Opened::Fault(fault)) = open::<Presets>(&wss, "X") else { panic!() };
        assert!(fault.denies());
        for code in ["Sender", "NoProfile", "ActionNotSupported"] {
            assert!(!SoapFault { codes: vec![code.into()], reason: "not authorized".into() }.denies(), "{code}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(inner in "[<>/a-zA-Z&;:!\"' =x-]{0,120}", cut in 0usize..600) {
            let _ = open::<Presets>(&message(&inner), "GetPresetsResponse");
            let whole = message("<GetPresetsResponse><Preset token=\"é\"/></GetPresetsResponse>");
            let mut end = cut.min(whole.len());
            while !whole.is_char_boundary(end) { end -= 1; }
            let opened = open::<Presets>(&whole[..end], "GetPresetsResponse");
            prop_assert_eq!(opened.is_ok(), end == whole.len());
        }
    }
}
