//! Measures the limits of the machine: calls, tasks and sleeps without the engine.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

type Step = Arc<dyn Fn(Value) -> BoxFuture<'static, Value> + Send + Sync>;

/// Makes `count` boxed calls in sequence. Each call creates the JSON value that a no-op step
/// returns.
pub(crate) async fn boxed_calls(count: usize) {
    let step: Step = Arc::new(|value| {
        Box::pin(async move {
            std::hint::black_box(value);
            json!({"ok": true, "n": 1})
        })
    });
    let mut value = Value::Null;
    for _ in 0..count {
        value = step(value).await;
    }
    std::hint::black_box(value);
}

/// Spawns `count` tasks and awaits all of them.
pub(crate) async fn tasks(count: usize) {
    let handles: Vec<_> = (0..count).map(|n| tokio::spawn(async move { std::hint::black_box(n) })).collect();
    for handle in handles {
        handle.await.expect("the task does not panic");
    }
}

/// Sleeps `count` times for `length`, with `at_once` sleeps at a time.
pub(crate) async fn sleeps(count: usize, length: Duration, at_once: usize) {
    let permits = Arc::new(tokio::sync::Semaphore::new(at_once));
    let mut handles = Vec::with_capacity(count);
    for _ in 0..count {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        handles.push(tokio::spawn(async move {
            tokio::time::sleep(length).await;
            drop(permit);
        }));
    }
    for handle in handles {
        handle.await.expect("the task does not panic");
    }
}

/// Keeps one core busy.
pub(crate) fn burn(rounds: u64) -> u64 {
    (0..rounds).fold(1u64, |hash, n| std::hint::black_box(hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n)))
}
