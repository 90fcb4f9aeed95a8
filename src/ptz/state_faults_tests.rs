use super::*;

#[test]
fn a_camera_that_is_silent_answers_all_who_wait_at_once() {
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Presets));
    s.step(1, Event::Ask(2, drive(0.5)));
    s.step(2, Event::Ask(3, Ask::Status));
    let out = s.step(3_000, silent());
    let failed = Answer::Failed(Fault::Silent("silent".into()));
    assert!(out.contains(&reply(1, failed.clone())) && out.contains(&reply(2, failed)), "{out:?}");
    let status = out.iter().find_map(|c| match c {
        Command::Reply(3, Answer::Status(status)) => Some(status.clone()),
        _ => None,
    });
    let status = status.unwrap();
    assert!(!status.online && !status.moving && status.error.as_deref() == Some("silent"));
    assert_eq!((out.len(), s.due()), (3, None), "a move that was never sent needs no stop");
}

#[test]
fn a_refused_password_is_held_back_with_its_reason() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(1, Event::Ask(2, Ask::Presets));
    let out = s.step(10, refused(None));
    assert_eq!(out.len(), 2, "{out:?}");
    for now in [11, 60_000, HOLD] {
        let out = s.step(now, Event::Ask(3, drive(0.5)));
        let [Command::Reply(3, Answer::Failed(Fault::Refused { reason, .. }))] = out.as_slice() else {
            panic!("{out:?}")
        };
        assert!(reason.contains("refused the password") && reason.contains("min"), "{reason}");
        let out = s.step(now, Event::Ask(4, Ask::Status));
        assert!(matches!(out.as_slice(), [Command::Reply(4, Answer::Status(s))] if s.error.is_some() && !s.online));
        assert_eq!(s.step(now, Event::Look), []);
    }
    assert_eq!(s.due(), None, "no stop is tried with that password either");
    assert_eq!(s.step(10 + HOLD, Event::Ask(5, drive(0.5))), [runs(0.5)], "one attempt, much later");
    s.step(10 + HOLD, refused(Some(Duration::from_secs(3_600))));
    let out = s.step(10 + HOLD + 3_600_000, Event::Ask(6, drive(0.5)));
    assert!(matches!(out.as_slice(), [Command::Reply(6, Answer::Failed(_))]), "the camera's own lock is outwaited");
}

#[test]
fn what_moves_when_the_password_is_refused_is_stopped_after_the_hold() {
    for renewal in [Task::Read, Task::Drive(pan(0.5), LASTS)] {
        let mut s = state();
        s.step(0, Event::Ask(1, drive(0.5)));
        s.step(10, ok());
        match renewal {
            Task::Read => s.step(20, Event::Ask(2, Ask::Presets)),
            _ => s.step(20, Event::Ask(2, drive(0.5))),
        };
        let out = s.step(30, refused(None));
        assert!(matches!(out.as_slice(), [Command::Reply(2, Answer::Failed(_))]), "{out:?}");
        assert_eq!(s.due(), Some(30 + HOLD), "no stop with that password before");
        let out = s.step(5_000, Event::Ask(3, Ask::Status));
        assert!(matches!(out.as_slice(), [Command::Reply(3, Answer::Status(s))] if s.moving), "{out:?}");
        assert_eq!(s.step(30 + HOLD, Event::Tick), [STOP]);
        // Refused again: after the next hold.
        assert_eq!(s.step(40 + HOLD, refused(None)), []);
        assert_eq!(s.due(), Some(40 + 2 * HOLD));
        assert_eq!(s.step(40 + 2 * HOLD, Event::Tick), [STOP]);
        s.step(50 + 2 * HOLD, ok());
        s.step(50 + 2 * HOLD + REPEAT, Event::Tick);
        s.step(60 + 2 * HOLD + REPEAT, ok());
        assert_eq!(s.due(), None);
        // The end waits for no hold.
        s.step(4 * HOLD, Event::Ask(4, drive(0.5)));
        s.step(4 * HOLD + 1, ok());
        s.step(4 * HOLD + 2, Event::Ask(5, drive(0.5)));
        s.step(4 * HOLD + 3, refused(None));
        assert_eq!(s.step(4 * HOLD + 4, Event::Close), [Command::End]);
    }
}

#[test]
fn what_waits_behind_a_read_that_fails_is_turned_away_too() {
    for event in [refused(None), silent()] {
        let mut s = state();
        s.step(0, Event::Ask(1, Ask::Status));
        assert_eq!(s.step(5, Event::Done(Ok(Done::About(About::default())))), [Command::Run(Task::Read)]);
        s.step(6, Event::Ask(2, drive(0.5)));
        s.step(7, Event::Ask(3, Ask::Presets));
        let out = s.step(10, event);
        let failed = |t| out.iter().any(|c| matches!(c, Command::Reply(n, Answer::Failed(_)) if *n == t));
        assert!(failed(2) && failed(3) && out.len() == 3, "{out:?}");
        assert!(out.iter().any(|c| matches!(c, Command::Reply(1, Answer::Status(s)) if !s.online)), "{out:?}");
        assert_eq!(s.due(), None);
    }
}

#[test]
fn a_move_that_perhaps_arrived_is_stopped_until_that_works() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    let failed = Answer::Failed(Fault::Silent("silent".into()));
    // The time-out is longer than the move was to last.
    assert_eq!(s.step(3_000, silent()), [reply(1, failed), STOP]);
    assert_eq!(s.step(6_000, silent()), []);
    assert_eq!(s.due(), Some(7_000));
    assert_eq!(s.step(7_000, Event::Tick), [STOP]);
    assert_eq!(s.step(7_010, ok()), []);
    assert_eq!(s.due(), Some(7_010 + REPEAT));
}

#[test]
fn a_stop_that_never_works_ends_some_day() {
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Stop));
    let mut now = 0;
    let mut sent = 1;
    for _ in 0..100 {
        now += 3_000;
        s.step(now, silent());
        let Some(due) = s.due() else { break };
        now = due;
        sent += s.step(now, Event::Tick).len();
    }
    assert_eq!((sent, s.due()), (20, None));
}

#[test]
fn what_may_move_is_stopped_however_long_that_fails() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(10, ok());
    s.step(20, Event::Ask(2, Ask::Stop));
    let mut now = 20;
    for n in 0..200 {
        s.step(now + 3_000, silent());
        let due = s.due().unwrap();
        assert!((1_000..=30_000).contains(&(due - now - 3_000)), "{n}: {}", due - now - 3_000);
        now = due;
        assert_eq!(s.step(now, Event::Tick), [STOP]);
    }
    s.step(now + 3_000, silent());
    // It answers something: the stop waits no longer.
    now += 3_100;
    assert_eq!(s.step(now, Event::Ask(3, Ask::Presets)), [Command::Run(Task::Presets)]);
    let out = s.step(now + 5, Event::Done(Ok(Done::Presets(vec![]))));
    assert_eq!(out, [reply(3, Answer::Presets(vec![])), STOP]);
    s.step(now + 10, ok());
    assert_eq!(s.due(), Some(now + 10 + REPEAT));
    assert_eq!(s.step(now + 10 + REPEAT, Event::Tick), [STOP]);
    s.step(now + 900, ok());
    assert_eq!(s.due(), None);
}

#[test]
fn a_stop_waits_for_no_reading() {
    let mut s = state();
    // A try at a password that was never good would not be broken off by that.
    s.step(0, Event::Ask(1, Ask::Presets));
    assert_eq!(s.step(1, Event::Ask(2, Ask::Stop)), [Command::BreakOff(Stage::UnderWay)]);
    assert_eq!(s.step(2, Event::Done(Ok(Done::Presets(vec![])))), [reply(1, Answer::Presets(vec![])), STOP]);
    s.step(3, ok());
    s.step(300, Event::Tick);
    s.step(301, ok());
    // Asked for.
    assert_eq!(s.step(400, Event::Ask(3, Ask::Presets)), [Command::Run(Task::Presets)]);
    assert_eq!(s.step(401, Event::Ask(4, Ask::Stop)), [Command::BreakOff(Stage::UnderWay)]);
    assert_eq!(s.step(402, Event::Ask(5, Ask::Stop)), [], "once");
    assert_eq!(s.step(403, put_off()), [STOP]);
    let out = s.step(404, ok());
    assert_eq!(out, [reply(4, Answer::Done), reply(5, Answer::Done), Command::Run(Task::Presets)], "it begins anew");
    // The second stop, which nobody asks for.
    assert_eq!(s.due(), Some(404 + REPEAT));
    assert_eq!(s.step(404 + REPEAT, Event::Tick), [Command::BreakOff(Stage::UnderWay)]);
    // It had come to its end all the same.
    let out = s.step(700, Event::Done(Ok(Done::Presets(vec![]))));
    assert_eq!(out, [reply(3, Answer::Presets(vec![])), STOP]);
    s.step(701, ok());
    // A move whose time is over.
    s.step(800, Event::Ask(6, drive(0.5)));
    s.step(801, ok());
    s.step(802, Event::Ask(7, Ask::Presets));
    assert_eq!(s.due(), Some(800 + LASTS));
    assert_eq!(s.step(800 + LASTS, Event::Tick), [Command::BreakOff(Stage::UnderWay)]);
    assert_eq!(s.step(801 + LASTS, put_off()), [STOP]);
    s.step(802 + LASTS, ok());
    // The end, and nothing is to be stopped.
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Presets));
    assert_eq!(s.step(1, Event::Close), [Command::BreakOff(Stage::Trying)]);
    assert_eq!(s.step(2, put_off()), [reply(1, Answer::Closing), Command::End]);
    // What changes something is waited for.
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Edit(Edit::Delete("1".into()))));
    assert_eq!(s.step(1, Event::Ask(2, Ask::Stop)), [Command::BreakOff(Stage::Waiting)]);
    s.step(2, Event::Done(Ok(Done::Saved(None))));
}

#[test]
fn a_stop_waits_for_no_move_that_itself_waits() {
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(1, ok());
    s.step(500, Event::Ask(2, drive(0.5)));
    assert_eq!(s.step(600, Event::Ask(3, Ask::Stop)), [Command::BreakOff(Stage::Waiting)]);
    // Whoever moved is answered with whoever stopped, and nothing moves after that.
    assert_eq!(s.step(601, put_off()), [STOP]);
    assert_eq!(s.step(602, ok()), [reply(2, Answer::Done), reply(3, Answer::Done)]);
    s.step(602 + REPEAT, Event::Tick);
    s.step(603 + REPEAT, ok());
    assert_eq!((s.due(), s.driven()), (None, false));
    // Something else is stopped: what waits goes on after that, for the time that is left.
    s.step(1_000, Event::Ask(4, Ask::Drive(Drive::Focus(0.5), None)));
    s.step(1_001, ok());
    s.step(1_100, Event::Ask(5, drive(0.5)));
    let stop = Event::Ask(6, Ask::Drive(Drive::Focus(0.0), None));
    assert_eq!(s.step(1_200, stop), [Command::BreakOff(Stage::Waiting)]);
    let stops = Command::Run(Task::Drive(Drive::Focus(0.0), 0));
    assert_eq!(s.step(1_201, put_off()), [stops]);
    let Ask::Drive(moves, _) = drive(0.5) else { panic!() };
    let out = s.step(1_202, ok());
    assert_eq!(out, [reply(6, Answer::Done), Command::Run(Task::Drive(moves, LASTS - 102))]);
    assert_eq!(s.step(1_203, ok())[0], reply(5, Answer::Moving(1_100 + LASTS)));
}

#[test]
fn a_stop_that_was_not_taken_is_owed_at_the_end() {
    // Moves, and each of the last stops goes so.
    let ends = |results: [Event; 2]| {
        let mut s = state();
        s.step(0, Event::Ask(1, drive(0.5)));
        s.step(10, ok());
        assert_eq!(s.step(20, Event::Close), [STOP]);
        let mut out = Vec::new();
        for (now, result) in (30..).zip(results) {
            out = s.step(now, result);
        }
        assert_eq!(out.last(), Some(&Command::End), "{out:?}");
        s.owes_a_stop()
    };
    assert!(ends([silent(), silent()]));
    assert!(!ends([silent(), ok()]) && !ends([ok(), ok()]) && !ends([ok(), silent()]));
    // Refused: another password may be right.
    let mut s = state();
    s.step(0, Event::Ask(1, drive(0.5)));
    s.step(10, ok());
    s.step(20, Event::Ask(2, drive(0.5)));
    s.step(30, refused(None));
    assert!(!s.owes_a_stop());
    assert_eq!(s.step(40, Event::Close), [Command::End]);
    assert!(s.owes_a_stop());
    // Nothing moved.
    let mut s = state();
    assert_eq!(s.step(0, Event::Close), [Command::End]);
    assert!(!s.owes_a_stop());
}

#[test]
fn what_the_camera_turns_out_to_lack_is_not_offered_again() {
    use super::super::super::{Capabilities, Frame};
    let frame = Frame { x: 0.0, y: 0.0, width: 0.5, height: 0.5, out: false };
    let asks = [
        Ask::Drive(Drive::Focus(0.5), None),
        Ask::Drive(Drive::Iris(0.5), None),
        Ask::Go(Go::Box(frame)),
        Ask::Go(Go::Home),
    ];
    let all = Capabilities { focus: true, iris: true, box_zoom: true, home: true, ..Capabilities::default() };
    let mut s = state();
    s.step(0, Event::Ask(1, Ask::Status));
    s.step(1, Event::Done(Ok(Done::About(About { capabilities: all, ..About::default() }))));
    s.step(2, Event::Done(Ok(Done::Reading(Reading::default()))));
    let mut can = Vec::new();
    for (now, ask) in (10..).step_by(10).zip(asks) {
        assert!(matches!(s.step(now, Event::Ask(now, ask))[..], [Command::Run(_)]));
        s.step(now + 1, Event::Done(Err(Fault::Unsupported("it has none".into()))));
        let c = s.about().unwrap().capabilities;
        can.push([c.focus, c.iris, c.box_zoom, c.home]);
    }
    let lost = |n: usize| [n < 1, n < 2, n < 3, true];
    assert_eq!(can, [lost(1), lost(2), lost(3), lost(3)]);
}
