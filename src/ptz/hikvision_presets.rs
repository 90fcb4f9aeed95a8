//! Presets and patrols of ISAPI, with their traps: presets that are functions, places that
//! are stored with names, refusals that mean "there is none".

use reqwest::Method;

use super::hikvision::Hikvision;
use super::hikvision_xml::{PatrolList, PresetItem, PresetList};
use super::isapi::{No, call};
use super::{Fault, Preset, lens, xml};

/// Presets that are functions: 94 restarts the camera.
const SPECIAL: std::ops::RangeInclusive<u32> = 33..=105;
/// The most presets that a model has.
const PRESETS: u32 = 300;

impl Hikvision {
    /// The presets, without those that are functions.
    pub(super) async fn presets_now(&mut self) -> Result<Vec<Preset>, No> {
        let list = self.list().await?;
        let shown = |p: PresetItem| Preset {
            name: Some(xml::short(&p.name)).filter(|n| !n.is_empty()).unwrap_or_else(|| p.id.trim().to_owned()),
            enabled: p.enabled.unwrap_or(true),
            id: xml::short(&p.id),
        };
        // The functions are no places.
        let special = |p: &PresetItem| p.id.trim().parse().is_ok_and(|n: u32| SPECIAL.contains(&n));
        let all = self.target.allow_special_presets;
        Ok(list.into_iter().filter(|p| all || !special(p)).map(shown).collect())
    }

    async fn list(&mut self) -> Result<Vec<PresetItem>, No> {
        let path = self.path("presets");
        Ok(self.get::<PresetList>(&path, "PTZPresetList").await?.presets)
    }

    pub(super) async fn goto(&mut self, id: &str) -> Result<(), No> {
        let id = self.preset_id(id)?;
        match self.put(&format!("presets/{id}/goto"), "").await {
            Err(no @ No::Camera { .. }) => {
                // Each model has words of its own for a preset that is not set.
                let known = match self.list().await {
                    Ok(list) => list.iter().any(|p| p.is(id) && p.enabled != Some(false)),
                    Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
                    Err(_) => false,
                };
                Err(if known || SPECIAL.contains(&id) { no } else { unknown(id).into() })
            }
            done => done,
        }
    }

    pub(super) fn preset_id(&self, id: &str) -> Result<u32, No> {
        let number = id.parse::<u32>().ok().filter(|n| (1..=PRESETS).contains(n));
        let number = number.ok_or_else(|| Fault::NotFound(format!("there is no preset \"{}\"", xml::short(id))))?;
        if SPECIAL.contains(&number) && !self.target.allow_special_presets {
            let reason = format!(
                "preset {number} is a function of the camera (33 to 105 are, and 94 restarts it), and no place: \
                 ptz.allowSpecialPresets lets it be called"
            );
            return Err(Fault::Unsupported(reason).into());
        }
        Ok(number)
    }

    pub(super) async fn save(&mut self, id: Option<&str>, name: Option<&str>) -> Result<u32, No> {
        let list = self.list().await?;
        let id = match id {
            Some(id) => self.preset_id(id)?,
            None => (1..=PRESETS)
                .find(|n| !SPECIAL.contains(n) && !list.iter().any(|p| p.is(*n) && p.enabled != Some(false)))
                .ok_or_else(|| Fault::Rejected("the camera has no free preset".into()))?,
        };
        let old = list.iter().find(|p| p.is(id)).map(|p| p.name.clone()).filter(|name| !name.is_empty());
        let name = name.map(str::to_owned).or(old).unwrap_or_else(|| format!("Preset {id}"));
        let body = format!(
            "<PTZPreset><enabled>true</enabled><id>{id}</id><presetName>{}</presetName></PTZPreset>",
            xml::escape(&name)
        );
        self.put(&format!("presets/{id}"), &body).await?;
        Ok(id)
    }

    pub(super) async fn rename(&mut self, id: &str, name: &str) -> Result<(), No> {
        let number = self.preset_id(id)?;
        let list = self.list().await?;
        let preset = list.iter().find(|p| p.is(number)).ok_or_else(|| unknown(number))?;
        let at = self.position().await?;
        // The camera stores where it looks together with the name.
        let there = preset.high.as_ref().and_then(|high| self.place(high)).is_some_and(|place| lens::near(place, at));
        if !there {
            return Err(Fault::Unsupported(lens::RENAME.into()).into());
        }
        self.save(Some(id), Some(name)).await.map(drop)
    }

    pub(super) async fn delete(&mut self, id: &str) -> Result<(), No> {
        let id = self.preset_id(id)?;
        if !self.list().await?.iter().any(|p| p.is(id)) {
            return Err(unknown(id).into());
        }
        let path = self.path(&format!("presets/{id}"));
        call(&mut self.client, Method::DELETE, &path, String::new()).await.map(drop)
    }

    pub(super) async fn patrol(&mut self, id: &str, order: &str) -> Result<(), No> {
        let missing = || Fault::NotFound(format!("there is no patrol \"{}\"", xml::short(id)));
        let number = id.parse::<u32>().map_err(|_| missing())?;
        match self.put(&format!("patrols/{number}/{order}"), "").await {
            Err(no @ No::Camera { .. }) => {
                let path = self.path("patrols");
                let known = match self.get::<PatrolList>(&path, "PTZPatrolList").await {
                    Ok(list) => list.patrols.iter().any(|p| p.id.trim().parse() == Ok(number)),
                    Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
                    Err(_) => true,
                };
                Err(if known { no } else { missing().into() })
            }
            done => done,
        }
    }
}

impl PresetItem {
    fn is(&self, id: u32) -> bool {
        self.id.trim().parse() == Ok(id)
    }
}

fn unknown(id: u32) -> Fault {
    Fault::NotFound(format!("there is no preset \"{id}\""))
}
