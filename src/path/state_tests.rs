use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy { has_source: true, on_demand: false, close_after: 10_000, read_timeout: 5_000 };
const DEMAND: Policy = Policy { on_demand: true, ..POLICY };

fn fail(kind: FailureKind) -> Event {
    Event::Failed(Failure::new(kind, format!("{kind:?}")))
}
fn demand(holds: usize, readers: usize) -> Event {
    Event::Demand { holds, readers }
}
fn started(policy: Policy) -> State {
    let mut s = State::new(policy);
    assert_eq!(s.step(0, 0.5, demand(1, 0)), [Command::Start(Hints::default())]);
    s
}
fn live(policy: Policy) -> State {
    let mut s = started(policy);
    assert_eq!(s.step(100, 0.5, Event::Ready), [Command::Admit]);
    s
}

#[test]
fn a_camera_starts_by_itself_and_an_on_demand_one_waits() {
    let mut s = State::new(POLICY);
    assert_eq!(s.step(0, 0.5, demand(0, 0)), [Command::Start(Hints::default())]);
    assert_eq!(s.name(), StateName::Starting);
    let mut s = State::new(DEMAND);
    assert!(s.step(0, 0.5, demand(0, 0)).is_empty());
    assert_eq!(s.name(), StateName::Idle);
}

#[test]
fn who_waits_is_let_in_when_it_is_ready() {
    let mut s = live(DEMAND);
    assert_eq!((s.name(), s.reason()), (StateName::Live, None));
    assert_eq!(s.step(200, 0.5, demand(1, 1)), [Command::Admit]);
}

#[test]
fn on_demand_runs_on_for_a_while_and_stops() {
    let mut s = live(DEMAND);
    assert!(s.step(1_000, 0.5, demand(0, 0)).is_empty());
    assert_eq!(s.due(), Some(11_000));
    assert!(s.step(10_999, 0.5, Event::Tick { silent: 0 }).is_empty());
    assert_eq!(s.step(11_000, 0.5, Event::Tick { silent: 0 }), [Command::Stop]);
    assert_eq!((s.name(), s.due()), (StateName::Idle, None));
}

#[test]
fn a_reader_that_returns_in_time_keeps_it() {
    let mut s = live(DEMAND);
    s.step(1_000, 0.5, demand(0, 0));
    s.step(9_000, 0.5, demand(1, 0));
    assert!(s.step(20_000, 0.5, Event::Tick { silent: 0 }).is_empty());
    assert!(s.live());
}

#[test]
fn failures_back_off_and_a_well_run_resets() {
    let mut s = started(POLICY);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert_eq!(s.step(now, 0.5, fail(FailureKind::Silent))[0], Command::Stop);
        let until = s.due().unwrap();
        pauses.push(until - now);
        now = until;
        assert_eq!(s.step(now, 0.5, Event::Tick { silent: 0 }), [Command::Start(Hints::default())]);
    }
    assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    s.step(now, 0.5, Event::Ready);
    s.step(now + WELL_AFTER, 0.5, fail(FailureKind::Lost));
    assert_eq!(s.due(), Some(now + WELL_AFTER + 500));
    assert_eq!((s.name(), s.reason()), (StateName::Reconnecting, Some("Lost")));
}

#[test]
fn jitter_is_a_quarter_to_either_side() {
    for (dice, pause) in [(0.0, 375), (1.0, 625)] {
        let mut s = started(POLICY);
        s.step(0, dice, fail(FailureKind::Silent));
        assert_eq!(s.due(), Some(pause));
    }
}

#[test]
fn a_wrong_password_is_not_hammered_whoever_asks() {
    let mut s = started(DEMAND);
    assert_eq!(
        s.step(10, 0.5, fail(FailureKind::Unauthorized)),
        [Command::Stop, Command::TurnAway(FailureKind::Unauthorized)]
    );
    assert_eq!(s.name(), StateName::Refused);
    assert_eq!(s.step(20, 0.5, demand(1, 0)), [Command::TurnAway(FailureKind::Unauthorized)]);
    s.step(30, 0.5, demand(0, 0));
    assert!(s.step(20_000, 0.5, Event::Tick { silent: 0 }).is_empty(), "not forgotten while nobody asks");
    assert_eq!(s.step(30_000, 0.5, demand(1, 0)), [Command::TurnAway(FailureKind::Unauthorized)]);
    assert_eq!(s.step(300_010, 0.5, Event::Tick { silent: 0 }), [Command::Start(Hints::default())]);
}

#[test]
fn a_refused_path_that_nobody_wants_is_not_due_before_its_pause_ends() {
    let mut s = live(DEMAND);
    s.step(1_000, 0.5, demand(0, 1));
    s.step(2_000, 0.5, fail(FailureKind::Unauthorized));
    s.step(3_000, 0.5, demand(0, 0));
    assert!(s.step(60_000, 0.5, Event::Tick { silent: 0 }).is_empty());
    assert_eq!(s.due(), Some(302_000));
    assert!(s.step(302_000, 0.5, Event::Tick { silent: 0 }).is_empty());
    assert_eq!(s.name(), StateName::Idle);
}

#[test]
fn a_changed_source_is_tried_at_once_and_readers_stay() {
    let mut s = started(POLICY);
    s.step(10, 0.5, fail(FailureKind::Unauthorized));
    assert_eq!(s.step(20, 0.5, Event::Policy { policy: POLICY, restart: true }), [Command::Start(Hints::default())]);
    let mut s = live(POLICY);
    assert_eq!(
        s.step(20, 0.5, Event::Policy { policy: POLICY, restart: true }),
        [Command::Stop, Command::Start(Hints::default())]
    );
    let mut s = live(POLICY);
    assert!(s.step(20, 0.5, Event::Policy { policy: DEMAND, restart: false }).is_empty());
    assert!(s.live());
}

#[test]
fn another_way_is_tried_at_once_and_only_once() {
    let udp = Hints { udp: true, ..Hints::default() };
    let other = Event::Failed(Failure::new(FailureKind::Refused, "461").instead(udp));
    let mut s = started(POLICY);
    assert_eq!(s.step(10, 0.5, other.clone()), [Command::Stop, Command::Start(udp)]);
    assert_eq!(s.step(20, 0.5, other), [Command::Stop]);
    assert_eq!(s.due(), Some(520));
}

#[test]
fn silence_is_a_failure_before_and_after_the_first_frame() {
    let mut s = started(POLICY);
    assert!(s.step(4_999, 0.5, Event::Tick { silent: 4_999 }).is_empty());
    assert_eq!(s.step(5_000, 0.5, Event::Tick { silent: 5_000 }), [Command::Stop]);
    assert!(s.reason().unwrap().contains("does not answer"));
    let mut s = live(POLICY);
    s.step(9_000, 0.5, Event::Tick { silent: 5_000 });
    assert!(s.reason().unwrap().contains("nothing any more"));
}

#[test]
fn packets_without_a_key_frame_are_not_waited_for_without_end() {
    let mut s = started(POLICY);
    assert!(s.step(59_999, 0.5, Event::Tick { silent: 10 }).is_empty());
    assert_eq!(s.step(60_000, 0.5, Event::Tick { silent: 10 }), [Command::Stop]);
    assert!(s.reason().unwrap().contains("key frame"));
}

#[test]
fn a_path_without_source_turns_away() {
    let mut s = State::new(Policy { has_source: false, ..POLICY });
    assert_eq!(s.step(0, 0.5, demand(1, 0)), [Command::TurnAway(FailureKind::NotFound)]);
    assert_eq!(s.name(), StateName::NoSource);
}

#[test]
fn closed_is_for_good() {
    let mut s = live(POLICY);
    assert_eq!(s.step(1, 0.5, Event::Close), [Command::Stop, Command::TurnAway(FailureKind::Lost)]);
    assert!(s.step(2, 0.5, demand(1, 0)).is_empty());
    assert!(s.step(2, 0.5, Event::Close).is_empty());
    assert_eq!(s.name(), StateName::Closed);
}

#[test]
fn late_events_of_a_stopped_source_change_nothing() {
    let mut s = started(POLICY);
    s.step(10, 0.5, fail(FailureKind::Silent));
    let before = s.clone();
    assert!(s.step(11, 0.5, Event::Ready).is_empty());
    assert!(s.step(12, 0.5, fail(FailureKind::Lost)).is_empty());
    assert_eq!(s, before);
}

fn any_event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        Just(FailureKind::Unauthorized),
        Just(FailureKind::NotFound),
        Just(FailureKind::Silent),
        Just(FailureKind::Refused),
        Just(FailureKind::Lost),
        Just(FailureKind::Template),
    ];
    prop_oneof![
        (0usize..3, 0usize..3).prop_map(|(h, r)| demand(h, r)),
        Just(Event::Ready),
        (kind, any::<Option<(bool, bool, bool)>>()).prop_map(|(k, i)| {
            let mut f = Failure::new(k, "why");
            f.instead = i.map(|(udp, no_audio, rtspsrc)| Hints { udp, no_audio, rtspsrc });
            Event::Failed(f)
        }),
        (0u64..12_000).prop_map(|silent| Event::Tick { silent }),
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(has_source, on_demand, restart)| Event::Policy {
            policy: Policy { has_source, on_demand, ..POLICY },
            restart
        }),
    ]
}

proptest! {
    /// Whatever happens: starts and stops alternate, nobody is let in without a
    /// live source, and a path that is wanted always has a next step.
    #[test]
    fn invariants(events in proptest::collection::vec((any_event(), 0u64..20_000, 0.0f64..1.0), 0..80), on_demand in any::<bool>()) {
        let mut s = State::new(Policy { on_demand, ..POLICY });
        let (mut now, mut running) = (0, false);
        for (event, pass, dice) in events {
            now += pass;
            let is_demand = matches!(event, Event::Demand { .. });
            for c in s.step(now, dice, event) {
                match c {
                    Command::Start(_) => { prop_assert!(!running); running = true; }
                    Command::Stop => { prop_assert!(running); running = false; }
                    Command::Admit => prop_assert!(s.live()),
                    Command::TurnAway(_) => {}
                }
            }
            prop_assert_eq!(running, s.running());
            // Nothing is due that a tick would not do: that would be a busy loop.
            let mut ticked = s.clone();
            for c in ticked.step(now, dice, Event::Tick { silent: 0 }) {
                if let Command::TurnAway(_) = c { ticked.step(now, dice, demand(0, 0)); }
            }
            prop_assert!(ticked.due().is_none_or(|d| d > now), "due in the past: {:?}", ticked);
            let wants = s.policy.has_source && (s.wanted || !s.policy.on_demand);
            if is_demand && wants {
                prop_assert!(s.running() || s.due().is_some(), "wanted and stuck: {:?}", s);
            }
            if s.name() == StateName::Live { prop_assert_eq!(s.reason(), None); }
        }
    }
}
