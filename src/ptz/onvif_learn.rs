//! What is learnt of an ONVIF camera: where its services are, which profile is steered,
//! what its PTZ node can do.

use super::onvif_session::{No, Session};
use super::onvif_xml::{Device, Node, NodeResponse, OldCapabilities, Profile, Profiles, Services, StreamUri};
use super::{Fault, Outcome, xml};

/// What was learnt.
#[derive(Debug, Default)]
pub struct Learnt {
    /// Paths of the services on the camera; empty where it has none.
    pub ptz: String,
    pub imaging: String,
    media: String,
    media2: String,
    /// The profile that is steered.
    pub profile: String,
    /// Its video source, for the focus.
    pub source: String,
    /// What it can do.
    pub node: Node,
}

impl Session {
    /// Services, profile and node.
    pub async fn learn(&mut self) -> Result<&Learnt, No> {
        if self.learnt.is_none() {
            let learnt = self.ask().await?;
            self.learnt = Some(learnt);
        }
        self.learnt.as_ref().ok_or_else(|| Fault::Rejected("the camera tells nothing".into()).into())
    }

    /// What was learnt, where it was.
    pub fn learnt(&self) -> Option<&Learnt> {
        self.learnt.as_ref()
    }

    /// Learns it anew. What was learnt stays where that fails: a stop needs it.
    pub async fn learn_again(&mut self) -> Result<&Learnt, No> {
        let learnt = self.ask().await?;
        Ok(self.learnt.insert(learnt))
    }

    async fn services(&mut self) -> Result<Learnt, No> {
        let device = self.device();
        let call = "<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>";
        match self.call::<Services>(&device, call).await {
            Ok(all) if !all.services.is_empty() => {
                let find = |part: &str| {
                    all.services.iter().find(|s| s.namespace.trim().contains(part)).map(|s| path_of(&s.address))
                };
                return Ok(Learnt {
                    ptz: find("/ptz/wsdl").unwrap_or_default(),
                    imaging: find("/imaging/wsdl").unwrap_or_default(),
                    media: find("ver10/media/wsdl").unwrap_or_default(),
                    media2: find("ver20/media/wsdl").unwrap_or_default(),
                    ..Learnt::default()
                });
            }
            Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
            // Before 2.0 there is only the other call.
            Ok(_) | Err(_) => {}
        }
        let call = "<tds:GetCapabilities><tds:Category>All</tds:Category></tds:GetCapabilities>";
        let all = self.call::<OldCapabilities>(&device, call).await?.all;
        let path = |a: Option<super::onvif_xml::Address>| a.map(|a| path_of(&a.address)).unwrap_or_default();
        Ok(Learnt { ptz: path(all.ptz), imaging: path(all.imaging), media: path(all.media), ..Learnt::default() })
    }

    async fn ask(&mut self) -> Result<Learnt, No> {
        let mut learnt = self.services().await?;
        if learnt.ptz.is_empty() {
            return Err(Fault::Rejected("the camera has no PTZ service".into()).into());
        }
        let profiles = self.profiles(&learnt).await?;
        let wanted = self.target.profile.as_str();
        let fits = |p: &&Profile| if wanted.is_empty() { p.video() && p.steered() } else { p.token == wanted };
        let Some(profile) = profiles.iter().find(fits) else {
            let why = match wanted {
                "" => "no profile of the camera has both video and PTZ".to_owned(),
                _ => format!("the camera has no profile \"{}\" (ptz.profile)", xml::short(wanted)),
            };
            return Err(Fault::Rejected(why).into());
        };
        learnt.profile.clone_from(&profile.token);
        learnt.source = profile.source().unwrap_or_default();
        let node = profile.node().unwrap_or_default();
        let ptz = learnt.ptz.clone();
        let call = format!("<tptz:GetNode><tptz:NodeToken>{}</tptz:NodeToken></tptz:GetNode>", xml::escape(&node));
        match self.call::<NodeResponse>(&ptz, &call).await {
            Ok(response) => learnt.node = response.node,
            Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
            // It may be steered all the same.
            Err(_) => {}
        }
        Ok(learnt)
    }

    /// media2 first: a profile with H.265 is only there.
    async fn profiles(&mut self, learnt: &Learnt) -> Result<Vec<Profile>, No> {
        if !learnt.media2.is_empty() {
            let call = "<tr2:GetProfiles><tr2:Type>All</tr2:Type></tr2:GetProfiles>";
            match self.call::<Profiles>(&learnt.media2, call).await {
                Ok(all) if !all.profiles.is_empty() => return Ok(all.profiles),
                Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
                Ok(_) | Err(_) => {}
            }
        }
        if learnt.media.is_empty() {
            return Err(Fault::Rejected("the camera has no media service".into()).into());
        }
        Ok(self.call::<Profiles>(&learnt.media, "<trt:GetProfiles/>").await?.profiles)
    }

    /// The camera's model.
    pub async fn model(&mut self) -> Result<String, No> {
        let device = self.device();
        Ok(self.call::<Device>(&device, "<tds:GetDeviceInformation/>").await?.model)
    }

    /// The RTSP addresses of all profiles with video: token, address.
    pub async fn streams(&mut self) -> Outcome<Vec<(String, String)>> {
        let learnt = self.services().await?;
        let profiles = self.profiles(&learnt).await?;
        let mut all = Vec::new();
        for profile in profiles.iter().filter(|p| p.video()) {
            let token = xml::escape(&profile.token);
            let (path, call) = if profile.configurations.is_some() {
                let call = format!(
                    "<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>{token}</tr2:ProfileToken>\
                     </tr2:GetStreamUri>"
                );
                (&learnt.media2, call)
            } else {
                let call = format!(
                    "<trt:GetStreamUri><trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP\
                     </tt:Protocol></tt:Transport></trt:StreamSetup><trt:ProfileToken>{token}</trt:ProfileToken>\
                     </trt:GetStreamUri>"
                );
                (&learnt.media, call)
            };
            let answer: StreamUri = self.call(path, &call).await?;
            let uri = answer.media.map(|m| m.uri).unwrap_or(answer.uri);
            all.push((profile.token.clone(), uri.trim().to_owned()));
        }
        Ok(all)
    }
}

impl Profile {
    fn video(&self) -> bool {
        self.encoder.is_some() || self.configurations.as_ref().is_some_and(|c| c.encoder.is_some())
    }

    fn steered(&self) -> bool {
        self.ptz.is_some() || self.configurations.as_ref().is_some_and(|c| c.ptz.is_some())
    }

    fn source(&self) -> Option<String> {
        let source = self.source.as_ref().or(self.configurations.as_ref().and_then(|c| c.source.as_ref()));
        source.map(|s| s.token.trim().to_owned())
    }

    fn node(&self) -> Option<String> {
        let ptz = self.ptz.as_ref().or(self.configurations.as_ref().and_then(|c| c.ptz.as_ref()));
        ptz.map(|p| p.node.trim().to_owned())
    }
}

/// The path of a service; empty for what is no address of the web. Host and port stay ours:
/// behind NAT the camera names an address that only it knows.
fn path_of(address: &str) -> String {
    match url::Url::parse(address.trim()) {
        // Of another scheme the path may be anything, and name a host after ours.
        Ok(url) if matches!(url.scheme(), "http" | "https") => match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_learnt_stays_where_learning_again_fails() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Nobody is there.
        drop(listener);
        let text = format!(
            "paths:\n  gate:\n    source: publisher\n    ptz: {{driver: onvif, url: '{url}', username: u, password: p}}\n"
        );
        let config = crate::config::parse(&text, None, &[]).unwrap().config;
        let conf = &config.paths["gate"];
        let mut session = Session::new(&conf.ptz.target(&conf.source).unwrap()).unwrap();
        session.learnt = Some(Learnt { ptz: "/onvif/ptz".into(), ..Learnt::default() });
        assert!(session.learn_again().await.is_err());
        assert_eq!(session.learnt().map(|l| l.ptz.as_str()), Some("/onvif/ptz"));
    }

    #[test]
    fn of_an_address_only_the_path_counts() {
        assert_eq!(path_of(" http://192.0.2.7:80/onvif/ptz_service?x=1 "), "/onvif/ptz_service?x=1");
        assert_eq!(path_of("https://[fe80::1]/onvif/ptz"), "/onvif/ptz");
        assert_eq!(path_of("nonsense"), "");
        for address in ["foo:@evil.example/x", "mailto:@evil.example", "file:///etc/passwd", "foo://h/x"] {
            assert_eq!(path_of(address), "", "{address}");
        }
    }
}
