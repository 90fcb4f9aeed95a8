//! The command line: `camgate [run] [CONFIG]`, `check`, `pipeline`, `probe`, `discover`,
//! `health`.

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Live camera video, from the camera to every browser.
#[derive(Parser)]
#[command(name = "camgate", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct RunArgs {
    /// The configuration; without it $CAMGATE_CONFIG, ./camgate.yml or
    /// /etc/camgate/camgate.yml, and where there is none, a path "test".
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Run(RunArgs),
    /// Read a configuration, say what is wrong with it, and start nothing.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print the path's pipeline as a line for gst-launch-1.0.
    Pipeline {
        /// The path's name.
        path: String,
        /// The configuration, as for run.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Print user name and password too.
        #[arg(long)]
        credentials: bool,
        /// End in a window that shows the picture, instead of camgate's sinks.
        #[arg(long)]
        view: bool,
    },
    /// Connect to a camera and say what it sends, and whether a browser can play it.
    Probe {
        /// rtsp://user:password@host/path
        url: String,
        /// How long to watch, in seconds.
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// automatic, tcp, udp or multicast.
        #[arg(long, default_value = "automatic")]
        transport: String,
        /// SHA-256 fingerprint of the certificate of an rtsps camera.
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// List the ONVIF cameras of the network, with their RTSP addresses.
    Discover {
        /// Ask only this address, as in 192.168.1.64:3702.
        #[arg(long)]
        to: Option<std::net::SocketAddr>,
        /// How long to wait for answers, in seconds.
        #[arg(long, default_value_t = 3)]
        timeout: u64,
        /// The user at the cameras; the password is taken from $CAMGATE_ONVIF_PASSWORD.
        #[arg(long)]
        user: Option<String>,
        /// Print entries for the configuration, with PASSWORD in place of the password.
        #[arg(long)]
        yaml: bool,
        /// Write the entries into a new file, with the password, for its owner to read.
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Ask the camgate of this machine whether it is well (for container health checks).
    Health {
        /// The configuration, as for run.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The HTTP client of PTZ brings no cryptography of its own; fails only where some is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => cli::run::run(args.config),
        Command::Check { file } => cli::config::check(&file),
        Command::Pipeline { path, config, credentials, view } => cli::pipeline::print(&path, config, credentials, view),
        Command::Probe { url, seconds, transport, fingerprint } => {
            cli::probe::probe(&url, seconds, &transport, fingerprint.as_deref())
        }
        Command::Discover { to, timeout, user, yaml, write } => {
            cli::discover::discover(&cli::discover::Options { to, seconds: timeout, user, yaml, write })
        }
        Command::Health { config } => cli::health::check(config),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("camgate: {}", camgate::redact::text(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
