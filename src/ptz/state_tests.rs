use proptest::prelude::*;

use super::super::axis::REPEAT;
use super::super::{Edit, Go, Position, Reading, Unit, Velocity};
use super::*;

/// What goes wrong.
#[path = "state_faults_tests.rs"]
mod faults;

const LASTS: u64 = 2_000;
const HOLD: u64 = super::super::fault::HOLD.as_millis() as u64;

fn state() -> State {
    State::new(Duration::from_millis(LASTS))
}

fn pan(pan: f64) -> Drive {
    Drive::Move(Velocity { pan, ..Velocity::default() })
}

fn drive(speed: f64) -> Ask {
    Ask::Drive(pan(speed), None)
}

fn runs(speed: f64) -> Command {
    runs_for(speed, LASTS)
}

fn runs_for(speed: f64, lasts: u64) -> Command {
    Command::Run(Task::Drive(pan(speed), lasts))
}

/// What waits for other channels is not waited for by a stop.
const UNSENT: Command = Command::BreakOff(Stage::Waiting);

const STOP: Command = Command::Run(Task::Drive(Drive::Move(Velocity { pan: 0.0, tilt: 0.0, zoom: 0.0 }), 0));

fn ok() -> Event {
    Event::Done(Ok(Done::Nothing))
}

fn put_off() -> Event {
    Event::Done(Err(Fault::PutOff))
}

fn silent() -> Event {
    Event::Done(Err(Fault::Silent("silent".into())))
}

fn refused(locked: Option<Duration>) -> Event {
    Event::Done(Err(Fault::Refused { reason: "the camera refused the password".into(), locked }))
}

fn reply(ticket: Ticket, answer: Answer) -> Command {
    Command::Reply(ticket, answer)
}

#[test]
fn a_move_that_is_not_renewed_is_stopped_twice() {
    let mut s = state();
    assert_eq!(s.step(100, Event::Ask(1, drive(0.5))), [runs(0.5)]);
    assert_eq!(s.step(120, ok()), [reply(1, Answer::Moving(2_100))]);
    assert_eq!(s.due(), Some(2_100));
    assert_eq!(s.step(2_099, Event::Tick), []);
    assert_eq!(s.step(2_100, Event::Tick), [STOP]);
    assert_eq!(s.step(2_110, ok()), []);
    assert_eq!(s.due(), Some(2_110 + REPEAT));
    assert_eq!(s.step(2_110 + REPEAT, Event::Tick), [STOP]);
    assert_eq!(s.step(2_400, ok()), []);
    assert_eq!(s.due(), None);
}

#[test]
fn renewing_moves_the_end() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(10, ok());
    for n in 1..20 {
        let at = n * 1_500;
        assert_eq!(s.step(at, Event::Ask(n, drive(0.5))), [runs(0.5)], "sent again: the camera may have restarted");
        assert_eq!(s.step(at + 5, ok()), [reply(n, Answer::Moving(at + LASTS))]);
    }
    assert_eq!(s.due(), Some(19 * 1_500 + LASTS));
}

#[test]
fn only_the_newest_pending_move_is_sent_and_all_get_its_answer() {
    let mut s = state();
    assert_eq!(s.step(0, Event::Ask(1, drive(0.1))), [runs(0.1)]);
    for (ticket, speed) in [(2, 0.2), (3, 0.3), (4, 0.4)] {
        assert_eq!(s.step(ticket, Event::Ask(ticket, drive(speed))), []);
    }
    assert_eq!(s.step(50, ok()), [reply(1, Answer::Moving(2_000)), runs_for(0.4, LASTS - 46)]);
    let moving = Answer::Moving(2_004);
    assert_eq!(s.step(60, ok()), [2, 3, 4].map(|t| reply(t, moving.clone())));
}

#[test]
fn a_stop_overtakes_and_takes_the_moves_with_it() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.1)));
    s.step(1, Event::Ask(2, Ask::Presets));
    s.step(2, Event::Ask(3, drive(0.2)));
    s.step(3, Event::Ask(4, Ask::Stop));
    assert_eq!(s.step(50, ok()), [reply(1, Answer::Moving(2_000)), STOP]);
    let done = s.step(60, ok());
    assert_eq!(done, [reply(3, Answer::Done), reply(4, Answer::Done), Command::Run(Task::Presets)]);
    assert_eq!(s.step(70, Event::Done(Ok(Done::Presets(vec![])))), [reply(2, Answer::Presets(vec![]))]);
    assert_eq!(s.due(), Some(60 + REPEAT), "the old move's timer is gone");
}

#[test]
fn a_new_move_cancels_the_second_stop() {
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Stop));
    s.step(10, ok());
    assert_eq!(s.step(20, Event::Ask(2, drive(1.0))), [runs(1.0)]);
    s.step(30, ok());
    assert_eq!(s.due(), Some(2_020));
}

#[test]
fn a_move_of_no_speed_is_a_stop() {
    let mut s = state();
    assert_eq!(s.step(0, Event::Ask(1, drive(0.0))), [STOP]);
    assert_eq!(s.step(1, ok()), [reply(1, Answer::Done)]);
}

#[test]
fn where_it_goes_by_itself_nothing_is_stopped() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(1, Event::Ask(2, Ask::Go(Go::Preset("1".into()))));
    let go = Command::Run(Task::Go(Go::Preset("1".into())));
    assert_eq!(s.step(5, ok()), [reply(1, Answer::Moving(2_000)), go]);
    assert_eq!(s.step(10, ok()), [reply(2, Answer::Done)]);
    assert_eq!(s.due(), None);
    // One that fails leaves the move, and its timer.
    s.step(20, Event::Ask(3, drive(0.5)));
    s.step(21, Event::Ask(4, Ask::Go(Go::Preset("9".into()))));
    s.step(25, ok());
    s.step(30, Event::Done(Err(Fault::NotFound("no".into()))));
    assert_eq!(s.due(), Some(2_020));
}

#[test]
fn what_a_way_leaves_at_its_speed_is_stopped_before_it() {
    let zoom = |zoom| Position { zoom: Some(zoom), ..Position::default() };
    for go in [
        Go::To(zoom(4.0), Unit::Degrees),
        Go::To(Position { pan: Some(1.0), tilt: Some(1.0), zoom: None }, Unit::Degrees),
        Go::By(Velocity { zoom: 0.5, ..Velocity::default() }),
        Go::By(Velocity { pan: 0.5, tilt: 0.5, zoom: 0.0 }),
        Go::Center(0.1, 0.1),
    ] {
        let went = || Command::Run(Task::Go(go.clone()));
        // At rest there is nothing to stop.
        let mut s = state();
        assert_eq!(s.step(0, Event::Ask(1, Ask::Go(go.clone()))), [went()]);
        assert_eq!(s.step(1, ok()), [reply(1, Answer::Done)]);
        // Moving: the stop is nobody's, and is said once, or it would end the way as well.
        s.step(10, Event::Ask(2, drive(0.5)));
        assert_eq!(s.step(11, Event::Ask(3, Ask::Go(go.clone()))), [UNSENT]);
        assert_eq!(s.step(20, ok()), [reply(2, Answer::Moving(10 + LASTS)), STOP]);
        assert_eq!(s.step(30, ok()), [went()]);
        assert_eq!(s.step(40, ok()), [reply(3, Answer::Done)]);
        assert_eq!(s.due(), None);
        // A stop that does not arrive ends the way before it began, and is said again.
        s.step(50, Event::Ask(4, drive(0.5)));
        s.step(51, ok());
        assert_eq!(s.step(52, Event::Ask(5, Ask::Go(go.clone()))), [STOP]);
        assert_eq!(s.step(60, silent()), [reply(5, Answer::Failed(Fault::Silent("silent".into())))]);
        assert!(s.due().is_some_and(|due| due > 60 && due < 50 + LASTS), "{:?}", s.due());
        // A newer movement needs none.
        assert_eq!(s.step(61, Event::Ask(6, Ask::Go(go.clone()))), [STOP]);
        s.step(62, Event::Ask(7, drive(0.25)));
        assert_eq!(s.step(63, ok()), [runs_for(0.25, LASTS - 1)]);
        assert_eq!(s.step(64, ok()), [6, 7].map(|t| reply(t, Answer::Moving(62 + LASTS))));
        // And somebody's stop is answered as one.
        s.step(70, Event::Ask(8, Ask::Go(go)));
        s.step(71, Event::Ask(9, Ask::Stop));
        assert_eq!(s.step(72, ok()), []);
        assert_eq!(s.step(72 + REPEAT, Event::Tick), [STOP]);
        assert_eq!(s.step(400, ok()), [8, 9].map(|t| reply(t, Answer::Done)));
        assert_eq!(s.due(), None);
    }
    let all = Position { pan: Some(1.0), tilt: Some(1.0), zoom: Some(1.0) };
    for go in [Go::To(all, Unit::Degrees), Go::Preset("1".into()), Go::Home] {
        let mut s = state();
        s.step(0, Event::Ask(1, drive(0.5)));
        s.step(1, ok());
        assert_eq!(s.step(2, Event::Ask(2, Ask::Go(go.clone()))), [Command::Run(Task::Go(go))]);
    }
}

#[test]
fn the_focus_has_its_own_timer() {
    let mut s = state();
    let focus = |speed| Ask::Drive(Drive::Focus(speed), Some(Duration::from_millis(500)));
    s.step(0, Event::Ask(1, focus(1.0)));
    s.step(1, ok());
    s.step(2, Event::Ask(2, drive(0.5)));
    s.step(3, ok());
    assert_eq!(s.step(500, Event::Tick), [Command::Run(Task::Drive(Drive::Focus(0.0), 0))]);
    s.step(501, ok());
    assert_eq!(s.due(), Some(501 + REPEAT));
    // A stop ends both.
    s.step(502, Event::Ask(3, focus(1.0)));
    s.step(503, ok());
    assert_eq!(s.step(504, Event::Ask(4, Ask::Stop)), [STOP]);
    let out = s.step(505, ok());
    assert_eq!(out, [reply(4, Answer::Done), Command::Run(Task::Drive(Drive::Focus(0.0), 0))]);
}

#[test]
fn status_is_read_once_for_all_who_ask() {
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Status));
    s.step(1, Event::Ask(2, Ask::Status));
    let about = About { driver: "onvif", ..About::default() };
    assert_eq!(s.step(5, Event::Done(Ok(Done::About(about)))), [Command::Run(Task::Read)]);
    let reading = Reading { position: Some(Position { pan: Some(1.0), ..Position::default() }), ..Reading::default() };
    let out = s.step(9, Event::Done(Ok(Done::Reading(reading))));
    assert!(
        matches!(out.as_slice(), [Command::Reply(1, Answer::Status(a)), Command::Reply(2, Answer::Status(_))]
        if a.online && !a.moving && a.position == reading.position),
        "{out:?}"
    );
    // Another position soon after: it moves, though no speed is ours.
    let moved = Reading { position: Some(Position { pan: Some(2.0), ..Position::default() }), ..Reading::default() };
    s.step(500, Event::Ask(3, Ask::Status));
    let out = s.step(509, Event::Done(Ok(Done::Reading(moved))));
    assert!(matches!(out.as_slice(), [Command::Reply(3, Answer::Status(s))] if s.moving), "{out:?}");
}

#[test]
fn moves_do_not_starve_what_else_waits() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.1)));
    s.step(1, Event::Ask(2, Ask::Presets));
    s.step(2, Event::Ask(3, drive(0.2)));
    assert!(s.step(10, ok()).contains(&Command::Run(Task::Presets)));
    assert!(s.step(20, Event::Done(Ok(Done::Presets(vec![])))).contains(&runs_for(0.2, LASTS - 18)));
}

#[test]
fn what_waits_is_bounded() {
    let mut s = state();
    let mut busy = 0;
    for ticket in 0..10_000 {
        let ask = if ticket % 2 == 0 { drive(0.5) } else { Ask::Edit(Edit::Delete(ticket.to_string())) };
        let out = s.step(ticket / 100, Event::Ask(ticket, ask));
        busy += out.iter().filter(|c| matches!(c, Command::Reply(_, Answer::Busy))).count();
    }
    assert!(busy > 9_000 && s.waiting() <= WAITING && s.queue.len() <= QUEUE);
    // A stop has its place.
    assert_eq!(s.step(100, Event::Ask(10_001, Ask::Stop)), [UNSENT]);
    for ticket in 10_002..10_600 {
        assert_eq!(s.step(100, Event::Ask(ticket, drive(0.0))), [], "a move of no speed has it, too");
    }
}

#[test]
fn the_end_stops_what_moves() {
    let mut s = state();
    assert_eq!(s.step(0, Event::Close), [Command::End]);
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(1, Event::Ask(2, Ask::Presets));
    assert_eq!(s.step(2, Event::Close), [reply(2, Answer::Closing), UNSENT]);
    assert_eq!(s.step(3, Event::Ask(3, drive(1.0))), [reply(3, Answer::Closing)]);
    assert_eq!(s.step(5, ok()), [reply(1, Answer::Moving(2_000)), STOP]);
    assert_eq!(s.step(6, ok()), [STOP]);
    // Once more, which is nothing new: the second stop is sent.
    assert_eq!(s.step(6, Event::Close), []);
    assert_eq!(s.step(7, ok()), [Command::End]);
    // Also where the camera does not answer any more.
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(1, Event::Close);
    s.step(5, silent());
    s.step(6, silent());
    assert_eq!(s.step(7, silent()), [Command::End]);
}

#[test]
fn the_list_looks_after_cameras_now_and_then() {
    let mut s = state();
    assert_eq!(s.step(0, Event::Look), [Command::Run(Task::About)]);
    assert_eq!(s.step(1, Event::Look), []);
    s.step(3_000, silent());
    assert_eq!(s.step(3_001, Event::Look), []);
    assert_eq!(s.step(3_000 + LOOK, Event::Look), [Command::Run(Task::About)]);
    s.step(13_100, Event::Done(Ok(Done::About(About::default()))));
    assert_eq!(s.step(13_101, Event::Look), []);
    assert_eq!(s.step(13_100 + FRESH, Event::Look), [Command::Run(Task::Read)]);
}

/// What may happen, in an order that nobody thought of.
#[derive(Debug, Clone)]
enum Happens {
    Ask(u8),
    Done(u8),
    Wait(u64),
}

fn happens() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        (0u8..9).prop_map(Happens::Ask),
        (0u8..9).prop_map(Happens::Done),
        (1u64..3_000).prop_map(Happens::Wait),
    ];
    proptest::collection::vec(one, 0..120)
}

proptest! {
    /// One exchange at a time; everyone gets one answer; nothing moves for ever.
    #[test]
    fn invariants(events in happens()) {
        let mut s = state();
        let (mut now, mut tickets, mut running) = (0u64, 0u64, None::<Task>);
        let mut open = std::collections::BTreeSet::new();
        // By what the camera heard: until when it may move.
        let mut moves: Option<u64> = None;
        let step = |s: &mut State, now: u64, event: Event, running: &mut Option<Task>, open: &mut std::collections::BTreeSet<u64>| {
            for command in s.step(now, event) {
                match command {
                    Command::Run(task) => {
                        prop_assert!(running.is_none(), "two exchanges at once");
                        *running = Some(task);
                    }
                    Command::BreakOff(stage) => {
                        let reads = matches!(running, Some(Task::About | Task::Read | Task::Presets));
                        prop_assert!(reads || stage == Stage::Waiting, "{running:?} is no reading");
                    }
                    Command::Reply(ticket, _) => prop_assert!(open.remove(&ticket), "{ticket} answered twice"),
                    Command::End => {}
                }
            }
            Ok(())
        };
        let finish = |s: &mut State, now: u64, how: u8, running: &mut Option<Task>, open: &mut std::collections::BTreeSet<u64>, moves: &mut Option<u64>| {
            let Some(task) = running.take() else { return Ok(()) };
            let heard = how != 0;
            let result = match (how, &task) {
                (0, _) => Err(Fault::Silent("silent".into())),
                (1, _) => Err(Fault::Rejected("no".into())),
                (_, Task::About) => Ok(Done::About(About::default())),
                (_, Task::Read) => Ok(Done::Reading(Reading::default())),
                (_, Task::Presets) => Ok(Done::Presets(vec![])),
                (_, Task::Edit(_)) => Ok(Done::Saved(None)),
                _ => Ok(Done::Nothing),
            };
            match &task {
                Task::Drive(Drive::Move(v), _) if v.is_zero() && heard && result.is_ok() => *moves = None,
                // It counts as heard also where the answer got lost.
                Task::Drive(Drive::Move(v), lasts) if how != 1 && !v.is_zero() => *moves = Some(now + lasts),
                Task::Go(_) if result.is_ok() => *moves = None,
                _ => {}
            }
            step(s, now, Event::Done(result), running, open)
        };
        for event in events {
            match event {
                Happens::Ask(kind) => {
                    tickets += 1;
                    open.insert(tickets);
                    let ask = match kind {
                        0..4 => drive(f64::from(kind) / 4.0),
                        4 => Ask::Stop,
                        5 => Ask::Go(Go::Home),
                        6 => Ask::Status,
                        7 => Ask::Presets,
                        _ => Ask::Edit(Edit::Delete("1".into())),
                    };
                    step(&mut s, now, Event::Ask(tickets, ask), &mut running, &mut open)?;
                }
                Happens::Done(how) => finish(&mut s, now, how, &mut running, &mut open, &mut moves)?,
                Happens::Wait(ms) => {
                    now += ms;
                    step(&mut s, now, Event::Tick, &mut running, &mut open)?;
                }
            }
        }
        // From now on the camera answers, and nobody asks any more.
        for _ in 0..400 {
            finish(&mut s, now, 9, &mut running, &mut open, &mut moves)?;
            if running.is_none() {
                let Some(due) = s.due() else { break };
                now = now.max(due);
                step(&mut s, now, Event::Tick, &mut running, &mut open)?;
            }
        }
        prop_assert!(running.is_none() && s.due().is_none());
        prop_assert!(open.is_empty(), "{open:?} wait for ever");
        prop_assert!(moves.is_none(), "it moves for ever");
    }
}
