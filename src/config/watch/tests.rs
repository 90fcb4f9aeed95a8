use super::*;
use std::fs;

/// A change must be told within this, a look without a hint included.
const SOON: Duration = Duration::from_secs(20);

async fn told(watch: &mut Watch) {
    tokio::time::timeout(SOON, watch.changed()).await.expect("no change told").unwrap();
}

#[tokio::test]
async fn a_written_and_a_replaced_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yml");
    fs::write(&file, "a").unwrap();
    let mut watch = watch(&file);
    fs::write(&file, "b").unwrap();
    told(&mut watch).await;
    let other = dir.path().join("new");
    fs::write(&other, "c").unwrap();
    fs::rename(&other, &file).unwrap();
    told(&mut watch).await;
    // Gone and back with the same content is no change; the next one is told.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "c").unwrap();
    fs::write(dir.path().join("neighbour"), "x").unwrap();
    fs::write(&file, "d").unwrap();
    told(&mut watch).await;
}

#[tokio::test]
async fn a_link_that_is_swapped_as_kubernetes_does() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (version, text) in [("v1", "a"), ("v2", "b")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("c.yml"), text).unwrap();
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/c.yml", at("c.yml")).unwrap();
    let mut watch = watch(&at("c.yml"));
    symlink("v2", at("..tmp")).unwrap();
    fs::rename(at("..tmp"), at("..data")).unwrap();
    told(&mut watch).await;
    // The new target is watched, too.
    fs::write(at("v2").join("c.yml"), "c").unwrap();
    told(&mut watch).await;
}

#[tokio::test]
async fn a_file_that_appears() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yml");
    let mut watch = watch(&file);
    fs::write(&file, "a").unwrap();
    told(&mut watch).await;
}

#[tokio::test]
async fn without_notifications_looking_remains() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yml");
    fs::write(&file, "a").unwrap();
    let (_, hints) = mpsc::channel(1);
    let (change, mut changes) = mpsc::channel(1);
    let hinter = Hinter { file: file.clone(), watcher: None, watched: Vec::new() };
    let task = tokio::spawn(run(file.clone(), hinter, hints, content(&file), change));
    fs::write(&file, "b").unwrap();
    tokio::time::timeout(SOON, changes.recv()).await.expect("no change told").unwrap();
    drop(changes);
    tokio::time::timeout(SOON, task).await.expect("does not end").unwrap();
}
