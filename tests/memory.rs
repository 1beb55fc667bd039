//! What a static binding costs in memory, everything included: its target, names, indexes.
//!
//! One test alone in its process, since the whole heap is looked at. `cargo bench --bench memory` measures a million bindings as
//! the system sees them.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{group_id, resource, target};
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};

    #[global_allocator]
    static ALLOCATOR: dhat::Alloc = dhat::Alloc;

    const TARGETS: usize = 10_000;
    const EACH: usize = 5;

    /// As authentik has them.
    fn uuid(number: usize) -> String {
        format!("{:08x}-0000-4000-8000-{number:012x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff)
    }

    fn application(number: usize) -> impl Iterator<Item = v1::Resource> {
        let id = uuid(number);
        let slug = format!("application-{number}");
        let application = v1::Application { id: id.clone(), slug, ..Default::default() };
        let bindings = (0..EACH).map(move |place| {
            let binding = v1::PolicyBinding {
                id: uuid(1_000_000 + number * EACH + place),
                target: Some(target(T::Application(id.clone()))),
                group: Some(group_id(&uuid(2_000_000 + (number + place) % 100))),
                order: i32::try_from(place).unwrap(),
                ..Default::default()
            };
            resource(R::PolicyBinding(binding))
        });
        std::iter::once(resource(R::Application(application))).chain(bindings)
    }

    #[test]
    fn a_static_binding_takes_less_than_a_hundred_bytes() {
        let _profiler = dhat::Profiler::builder().testing().build();
        let store = Store::new(Settings::default());
        for portion in (0..TARGETS).collect::<Vec<_>>().chunks(2_000) {
            let upserts = portion.iter().flat_map(|number| application(*number)).collect();
            apply(&store, Update::Delta { upserts, removals: Vec::new() }).unwrap();
        }
        let (bytes, blocks) = (dhat::HeapStats::get().curr_bytes, dhat::HeapStats::get().curr_blocks);
        assert_eq!(store.load().counts().bindings, TARGETS * EACH);
        let each = bytes / (TARGETS * EACH);
        println!("{each} bytes and {} blocks each", blocks as f64 / (TARGETS * EACH) as f64);
        assert!((60..100).contains(&each), "{each} bytes");
    }
}
