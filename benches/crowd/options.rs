//! What is to be measured: arguments, and the environment for those who prefer it. Pure.

use clap::Parser;
use std::path::PathBuf;

/// Viewers by the hundred: what they cost the server, and what they get.
///
/// Each option can be given in the environment too: CASES=1,100 SECONDS=10.
#[derive(Debug, Clone, Parser)]
#[command(name = "crowd", bin_name = "cargo bench --bench crowd --")]
pub struct Options {
    /// Cases, with commas: a number (so many viewers of one 1.7 Mbit/s path), rush (200
    /// joins in one second), small (2,000 viewers of one 200 kbit/s path), wide (20 paths
    /// with 10 viewers each), ingest (50 cameras, no viewer), chromium (first picture and
    /// delay in the browser).
    #[arg(long, value_delimiter = ',', default_value = "1,10,40,100,400,1000,rush,small,wide,ingest,chromium")]
    pub cases: Vec<Case>,
    /// Engines of camgate, with commas; "none" measures only the others.
    #[arg(long, value_delimiter = ',', default_value = "shared,webrtcbin")]
    pub engines: Vec<Engine>,
    /// How long each case is measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// webrtcbin is left out where there are more viewers than this.
    #[arg(long, default_value_t = 100)]
    pub webrtcbin_up_to: usize,
    /// Milliseconds from one join to the next (rush: 5).
    #[arg(long, default_value_t = 30)]
    pub gap: u64,
    /// Threads of the load client.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub client_threads: u64,
    /// Percent of the RTP packets that the clients' network loses, for seeing what NACK
    /// brings back.
    #[arg(long, default_value_t = 0.0)]
    pub loses: f64,
    /// The clients take what the server hands over as one message whole (UDP_GRO), as a
    /// network card does that segments. false: on loopback the kernel then cuts it into
    /// packets, and queues each, on the server's account.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub whole: bool,
    /// A MediaMTX binary, to be measured beside camgate.
    #[arg(long)]
    pub mediamtx: Option<PathBuf>,
    /// The WHEP URL of another server: {path} is replaced by the path, {port} by the port
    /// that --against-cmd was given. Without --against-cmd it runs already, and pulls
    /// rtsp://127.0.0.1:PORT/{path} from --camera-port.
    #[arg(long)]
    pub against: Option<String>,
    /// Starts that server for each case, in sh: {port} and {udp} are free ports, {rtsp} the
    /// camera's URL of the first path, {config} a file with all paths in MediaMTX's format.
    #[arg(long, requires = "against")]
    pub against_cmd: Option<String>,
    /// The process of a server that runs already, for its CPU and memory.
    #[arg(long, requires = "against")]
    pub pid: Option<u32>,
    /// The camera's RTSP port; 0: any. Its paths are normal0 … normal49, small0 and long0.
    #[arg(long, default_value_t = 0)]
    pub camera_port: u16,
    /// Where the JSON goes.
    #[arg(long, default_value = "target/bench/crowd.json")]
    pub json: PathBuf,
    /// `cargo bench` says this.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The options that the environment may give, by their names there.
const VARIABLES: [&str; 14] = [
    "CASES",
    "ENGINES",
    "SECONDS",
    "WEBRTCBIN_UP_TO",
    "GAP",
    "CLIENT_THREADS",
    "LOSES",
    "WHOLE",
    "MEDIAMTX",
    "AGAINST",
    "AGAINST_CMD",
    "PID",
    "CAMERA_PORT",
    "JSON",
];

impl Options {
    /// From the arguments (the program's name first) and the environment; an argument
    /// goes before a variable. Err is what is to be printed, which may be the help.
    pub fn read(args: impl Iterator<Item = String>, env: impl Fn(&str) -> Option<String>) -> Result<Self, clap::Error> {
        let mut args: Vec<String> = args.collect();
        for variable in VARIABLES {
            let flag = format!("--{}", variable.to_lowercase().replace('_', "-"));
            let given = args.iter().any(|a| *a == flag || a.starts_with(&format!("{flag}=")));
            if let Some(value) = env(variable).filter(|v| !given && !v.is_empty()) {
                args.push(format!("{flag}={value}"));
            }
        }
        Self::try_parse_from(args)
    }
}

/// An engine of camgate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum Engine {
    Shared,
    WebrtcBin,
    None,
}

/// What a run measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// So many viewers of one path.
    One(usize),
    Rush,
    Small,
    Wide,
    Ingest,
    Chromium,
}

impl std::str::FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.trim() {
            "rush" => Case::Rush,
            "small" => Case::Small,
            "wide" => Case::Wide,
            "ingest" => Case::Ingest,
            "chromium" => Case::Chromium,
            number => match number.parse() {
                Ok(n @ 1..=20_000) => Case::One(n),
                _ => return Err("a number of viewers, rush, small, wide, ingest or chromium".into()),
            },
        })
    }
}

/// Who watches what in a case with viewers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub title: String,
    /// Paths of the camera; each gets its share of the viewers.
    pub paths: Vec<String>,
    pub viewers: usize,
    /// Milliseconds from one join to the next.
    pub gap: u64,
}

impl Case {
    /// None where there are no viewers of the load client.
    pub fn plan(self, gap: u64) -> Option<Plan> {
        let (title, stream, paths, viewers, gap) = match self {
            Case::One(n) => (thousands(n), "normal", 1, n, gap),
            Case::Rush => ("200 in one second".into(), "normal", 1, 200, 5),
            Case::Small => ("2,000 of 200 kbit/s".into(), "small", 1, 2_000, gap),
            Case::Wide => ("20 paths × 10".into(), "normal", 20, 200, gap),
            Case::Ingest | Case::Chromium => return None,
        };
        Some(Plan { title, paths: (0..paths).map(|n| format!("{stream}{n}")).collect(), viewers, gap })
    }
}

/// 1,000 for 1000.
pub fn thousands(n: usize) -> String {
    if n < 1_000 { n.to_string() } else { format!("{},{:03}", thousands(n / 1_000), n % 1_000) }
}
