//! `driver: auto`: finds out which language a camera speaks, without an attempt at its
//! password.

use std::time::Duration;

use reqwest::Method;

use super::client::Client;
use super::hikvision::Hikvision;
use super::onvif::Onvif;
use super::onvif_session::{CLOCK_CALL, DEVICE, clock_of, media_type};
use super::{About, Boxed, Drive, Driver, Edit, Fault, Go, Outcome, Preset, Reading, soap, xml};
use crate::config::{PtzDriver, PtzTarget};

/// The driver of a camera. Nothing is sent yet.
pub fn driver(target: &PtzTarget) -> Outcome<Box<dyn Driver>> {
    Ok(match target.driver {
        PtzDriver::Hikvision => Box::new(Hikvision::new(target)?),
        PtzDriver::Onvif => Box::new(Onvif::new(target)?),
        PtzDriver::Auto | PtzDriver::None => Box::new(Auto { target: target.clone(), found: None }),
    })
}

/// A camera of which nothing is known yet.
struct Auto {
    target: PtzTarget,
    found: Option<Box<dyn Driver>>,
}

impl Auto {
    async fn driver(&mut self) -> Outcome<&mut Box<dyn Driver>> {
        if self.found.is_none() {
            let driver = find(&self.target).await?;
            let found: Box<dyn Driver> = match driver {
                PtzDriver::Hikvision => Box::new(Hikvision::new(&self.target)?),
                _ => Box::new(Onvif::new(&self.target)?),
            };
            self.found = Some(found);
        }
        self.found.as_mut().ok_or_else(|| Fault::Rejected("the camera speaks nothing that is known".into()))
    }
}

/// What the camera answers to those who do not log in.
async fn find(target: &PtzTarget) -> Outcome<PtzDriver> {
    let client = Client::new(target)?;
    let device_info = format!("{}/ISAPI/System/deviceInfo", target.path);
    let isapi = client.peek(Method::GET, &device_info, "", String::new()).await?;
    let root = xml::check(&isapi.text).unwrap_or_default();
    if matches!(root.as_str(), "userCheck" | "DeviceInfo") {
        return Ok(PtzDriver::Hikvision);
    }
    let service = if target.path.is_empty() { DEVICE } else { &target.path };
    let message = soap::envelope(CLOCK_CALL, None);
    let clock = client.peek(Method::POST, service, &media_type(CLOCK_CALL), message).await?;
    if clock_of(&clock.text).is_some() {
        // Some cameras let nobody see what they have; ISAPI is only there if its absence
        // would look different.
        if isapi.status == 401 {
            let nowhere = client.peek(Method::GET, "/ISAPI-absent/System/deviceInfo", "", String::new()).await?;
            if nowhere.status == 404 {
                return Ok(PtzDriver::Hikvision);
            }
        }
        return Ok(PtzDriver::Onvif);
    }
    match isapi.status {
        401 => Ok(PtzDriver::Hikvision),
        _ => Err(Fault::Rejected(format!(
            "the camera at {} speaks neither ISAPI nor ONVIF there: set ptz.driver and ptz.url",
            target.origin()
        ))),
    }
}

impl Driver for Auto {
    fn about(&mut self) -> Boxed<'_, Outcome<About>> {
        Box::pin(async move { self.driver().await?.about().await })
    }

    fn alone(&mut self, alone: bool) {
        if let Some(driver) = &mut self.found {
            driver.alone(alone);
        }
    }

    fn proven(&self) -> bool {
        self.found.as_ref().is_some_and(|driver| driver.proven())
    }

    fn ready(&mut self) -> Boxed<'_, Outcome<()>> {
        Box::pin(async move { self.driver().await?.ready().await })
    }

    fn drive(&mut self, drive: Drive, lasts: Duration) -> Boxed<'_, Outcome<()>> {
        Box::pin(async move { self.driver().await?.drive(drive, lasts).await })
    }

    fn go<'a>(&'a mut self, go: &'a Go) -> Boxed<'a, Outcome<()>> {
        Box::pin(async move { self.driver().await?.go(go).await })
    }

    fn read(&mut self) -> Boxed<'_, Outcome<Reading>> {
        Box::pin(async move { self.driver().await?.read().await })
    }

    fn presets(&mut self) -> Boxed<'_, Outcome<Vec<Preset>>> {
        Box::pin(async move { self.driver().await?.presets().await })
    }

    fn edit<'a>(&'a mut self, edit: &'a Edit) -> Boxed<'a, Outcome<Option<String>>> {
        Box::pin(async move { self.driver().await?.edit(edit).await })
    }
}
