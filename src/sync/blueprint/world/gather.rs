//! Gathers the objects of all files, whichever order they refer to one another in.
//!
//! First every entry's object is made out by its identifiers; what refers to an object that is not made out yet waits.
//! Entries with conditions come after those without, since their conditions may ask what is there. Then it is known
//! what is there at the end, and the remaining fields are evaluated against that.
//!
//! Must not know: what a model's fields mean.

mod view;

use super::{Maker, Object, Taken, World};
use crate::sync::blueprint::Options;
use crate::sync::blueprint::document::{Document, Entry, State};
use crate::sync::blueprint::tags::{self, Budget, Evaluation, Wrong};
use crate::sync::blueprint::value::{ObjectId, Value};
use crate::sync::origin::{FileProblem, Origin};
use crate::sync::yaml::Node;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use view::{Seeing, View, Waits};

/// How often entries that wait are looked at again: the longest chain of references between identifiers.
const MAX_ROUNDS: usize = 64;

/// What is known of an entry.
#[derive(Clone, Debug)]
enum Status {
    Waiting,
    LeftOut(Arc<str>),
    Failed,
    Made(Arc<str>, ObjectId),
}

/// Where an entry stands: file, place in it, and place among all.
#[derive(Clone, Copy)]
struct Place {
    file: usize,
    entry: usize,
    overall: usize,
}

/// One file with what its tags may refer to.
struct File<'a> {
    document: &'a Document<'a>,
    ids: HashMap<&'a str, Vec<usize>>,
    context: BTreeMap<String, Value>,
    /// The place of its first entry among all.
    first: usize,
}

/// What an entry waits for before it is made out.
#[derive(Clone, Copy)]
enum Patience {
    Everything,
    Entries,
    Nothing,
}

impl Patience {
    const fn lasts(self, waits: Waits) -> bool {
        match self {
            Self::Everything => waits.entry || waits.matched,
            Self::Entries => waits.entry,
            Self::Nothing => false,
        }
    }
}

struct Gathering<'a> {
    files: Vec<File<'a>>,
    options: &'a Options<'a>,
    world: World,
    statuses: Vec<Status>,
    /// What is to become of every entry's object.
    states: Vec<State>,
}

/// All objects of the files; everything that is wrong goes to `problems`.
pub(in crate::sync::blueprint) fn gather(
    documents: &[Document<'_>],
    options: &Options<'_>,
    problems: &mut Vec<FileProblem>,
) -> World {
    let mut gathering = Gathering {
        files: Vec::new(),
        options,
        world: World::default(),
        statuses: Vec::new(),
        states: Vec::new(),
    };
    let mut work = Work { budget: Budget::default(), problems };
    for document in documents {
        gathering.open(document, &mut work);
    }
    gathering.states(&mut work);
    gathering.make_out_all(&mut work);
    let effects = gathering.settle(&mut work);
    gathering.fill(&effects, &mut work);
    gathering.finish(&effects)
}

/// What every step needs: the limits and the place for problems.
struct Work<'p> {
    budget: Budget,
    problems: &'p mut Vec<FileProblem>,
}

type Fields = BTreeMap<String, (Value, usize)>;

impl<'a> Gathering<'a> {
    fn open(&mut self, document: &'a Document<'a>, work: &mut Work<'_>) {
        let mut ids: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, entry) in document.entries.iter().enumerate() {
            if let Some(id) = entry.id {
                ids.entry(id).or_default().push(at);
            }
        }
        // What authentik itself adds to every context; nobody outside can know the list of its models.
        let mut context = BTreeMap::from([
            ("goauthentik.io/enterprise/licensed".to_owned(), Value::Bool(false)),
            ("goauthentik.io/rbac/models".to_owned(), Value::Map(BTreeMap::new())),
        ]);
        let file = self.files.len();
        let first = self.statuses.len();
        self.statuses.extend(document.entries.iter().map(|_| Status::Waiting));
        self.files.push(File { document, ids, context: BTreeMap::new(), first });
        if let Some(node) = document.context {
            match self.evaluate(file, Seeing::SoFar, node, work) {
                Ok((Value::Map(values), _)) => context.extend(values),
                Ok(_) => {}
                Err(wrong) => work.problems.push(self.problem(file, wrong)),
            }
        }
        let given = self.options.context.iter().map(|(key, value)| (key.clone(), value.clone().into()));
        context.extend(given);
        if let Some(file) = self.files.get_mut(file) {
            file.context = context;
        }
    }

    /// The value of a node, and whether it may change when more is made out.
    fn evaluate(
        &self,
        file: usize,
        seeing: Seeing,
        node: &Node,
        work: &mut Work<'_>,
    ) -> Result<(Value, Waits), Wrong> {
        let mut view = View { gathering: self, file, seeing, waits: Waits::default() };
        let value = Evaluation::new(&mut view, &mut work.budget).value(node)?;
        Ok((value, view.waits))
    }

    fn origin(&self, file: usize, line: usize) -> Origin {
        let name = self.files.get(file).map_or_else(|| "".into(), |file| Arc::clone(&file.document.name));
        Origin { file: name, line }
    }

    fn problem(&self, file: usize, wrong: Wrong) -> FileProblem {
        FileProblem { origin: self.origin(file, wrong.line), message: wrong.message }
    }

    fn places(&self) -> Vec<(Place, &'a Entry<'a>)> {
        let places =
            self.files.iter().enumerate().flat_map(|(file, opened)| {
                opened.document.entries.iter().enumerate().map(move |(entry, content)| {
                    (Place { file, entry, overall: opened.first + entry }, content)
                })
            });
        places.collect()
    }

    fn status(&mut self, place: Place, status: Status) {
        if let Some(slot) = self.statuses.get_mut(place.overall) {
            *slot = status;
        }
    }

    /// What is to become of the objects, before any of them is known.
    fn states(&mut self, work: &mut Work<'_>) {
        for (place, entry) in self.places() {
            let state = entry.state.map_or(Ok(State::Present), |node| self.state_of(place, node, work));
            let state = state.unwrap_or_else(|wrong| {
                work.problems.push(self.problem(place.file, wrong));
                State::Present
            });
            self.states.push(state);
        }
    }

    fn state_of(&self, place: Place, node: &Node, work: &mut Work<'_>) -> Result<State, Wrong> {
        let wrong = |message| Wrong { line: node.line, message };
        if !tags::is_local(node) {
            return Err(wrong("`state` cannot depend on an object; use conditions for that".to_owned()));
        }
        let (value, _) = self.evaluate(place.file, Seeing::SoFar, node, work)?;
        let text = value.plain().unwrap_or_else(|| value.describe().to_owned());
        State::named(&text).ok_or_else(|| wrong(State::unknown(&text)))
    }

    fn state(&self, place: Place) -> State {
        self.states.get(place.overall).copied().unwrap_or(State::Present)
    }

    fn make_out_all(&mut self, work: &mut Work<'_>) {
        let (plain, conditional): (Vec<_>, Vec<_>) =
            self.places().into_iter().partition(|(_, entry)| entry.conditions.is_empty());
        let mut waiting = self.rounds(plain, Patience::Everything, work);
        for (place, entry) in conditional {
            if self.is_wanted(place, entry, work) && !self.make_out(place, entry, Patience::Everything, work)
            {
                waiting.push((place, entry));
            }
        }
        waiting.sort_by_key(|(place, _)| place.overall);
        // What they still wait for at last does not come: it is missing.
        for patience in [Patience::Everything, Patience::Entries, Patience::Nothing] {
            waiting = self.rounds(waiting, patience, work);
        }
    }

    /// Makes out entries until nothing more can be; those that still wait are left.
    fn rounds(
        &mut self,
        mut waiting: Vec<(Place, &'a Entry<'a>)>,
        patience: Patience,
        work: &mut Work<'_>,
    ) -> Vec<(Place, &'a Entry<'a>)> {
        for _ in 0..MAX_ROUNDS {
            let before = waiting.len();
            waiting.retain(|(place, entry)| !self.make_out(*place, entry, patience, work));
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        waiting
    }

    /// Whether all conditions hold.
    fn is_wanted(&mut self, place: Place, entry: &Entry<'_>, work: &mut Work<'_>) -> bool {
        let mut wanted = true;
        for condition in entry.conditions {
            match self.evaluate(place.file, Seeing::Before(place), condition, work) {
                Ok((value, _)) => wanted &= value.is_truthy(),
                Err(wrong) => {
                    work.problems.push(self.problem(place.file, wrong));
                    self.status(place, Status::Failed);
                    return false;
                }
            }
        }
        if !wanted {
            let model = self.model(place, entry, work).map_or_else(|_| "".into(), |(model, _)| model);
            self.status(place, Status::LeftOut(model));
        }
        wanted
    }

    fn model(
        &self,
        place: Place,
        entry: &Entry<'_>,
        work: &mut Work<'_>,
    ) -> Result<(Arc<str>, Waits), Wrong> {
        let (value, waits) = self.evaluate(place.file, Seeing::SoFar, entry.model, work)?;
        match value {
            Value::Text(model) if model.contains('.') => Ok((model.to_lowercase().into(), waits)),
            Value::Missing(_) if waits.entry || waits.matched => Ok(("".into(), waits)),
            other => {
                let found = other.plain().unwrap_or_else(|| other.describe().to_owned());
                let message =
                    format!("model `{found}` is not one; write app and model, such as authentik_core.group");
                Err(Wrong { line: entry.model.line, message })
            }
        }
    }

    /// Finds or makes the object of an entry. False: it waits for another.
    fn make_out(
        &mut self,
        place: Place,
        entry: &'a Entry<'a>,
        patience: Patience,
        work: &mut Work<'_>,
    ) -> bool {
        match self.identity(place, entry, work) {
            Ok((_, _, waits)) if patience.lasts(waits) => return false,
            Ok((model, identifiers, _)) => self.register(place, entry, &model, identifiers, work),
            Err(wrong) => {
                work.problems.extend(wrong.into_iter().map(|wrong| self.problem(place.file, wrong)));
                self.status(place, Status::Failed);
            }
        }
        true
    }

    fn identity(
        &self,
        place: Place,
        entry: &Entry<'_>,
        work: &mut Work<'_>,
    ) -> Result<(Arc<str>, Fields, Waits), Vec<Wrong>> {
        let mut wrongs = Vec::new();
        let mut identifiers = BTreeMap::new();
        let mut waits = Waits::default();
        let model = match self.model(place, entry, work) {
            Ok((model, model_waits)) => {
                waits = model_waits;
                model
            }
            Err(wrong) => {
                wrongs.push(wrong);
                "".into()
            }
        };
        for (key, node) in entry.identifiers {
            match self.evaluate(place.file, Seeing::SoFar, node, work) {
                Ok((value, value_waits)) => {
                    waits.entry |= value_waits.entry;
                    waits.matched |= value_waits.matched;
                    identifiers.insert(key.text().unwrap_or_default().to_owned(), (value, node.line));
                }
                Err(wrong) => wrongs.push(wrong),
            }
        }
        if wrongs.is_empty() { Ok((model, identifiers, waits)) } else { Err(wrongs) }
    }

    fn register(
        &mut self,
        place: Place,
        entry: &'a Entry<'a>,
        model: &Arc<str>,
        identifiers: Fields,
        work: &mut Work<'_>,
    ) {
        let id = self.world.identified(model, &identifiers).unwrap_or_else(|| {
            let origin = self.origin(place.file, entry.line);
            let (model, fields) = (Arc::clone(model), BTreeMap::new());
            self.world.objects.push(Object { model, origin, alive: false, fields, makers: Vec::new() });
            ObjectId(self.world.objects.len() - 1)
        });
        let stays = self.state(place) != State::Absent;
        if stays && let Some(object) = self.world.objects.get_mut(id.0) {
            object.makers.push(Maker { file: place.file, entry: place.entry });
        }
        for (name, (value, line)) in identifiers {
            let origin = self.origin(place.file, line);
            self.world.set(id, &name, value, origin, place.overall);
        }
        self.status(place, Status::Made(Arc::clone(model), id));
        // Lookups by fields that depend on nothing work from here on.
        if stays {
            self.set_attrs(place, entry, id, true, work);
        }
    }

    fn set_attrs(
        &mut self,
        place: Place,
        entry: &'a Entry<'a>,
        id: ObjectId,
        local: bool,
        work: &mut Work<'_>,
    ) {
        for (key, node) in entry.attrs.iter().filter(|(_, node)| tags::is_local(node) == local) {
            match self.evaluate(place.file, Seeing::End, node, work) {
                Ok((value, _)) => {
                    let origin = self.origin(place.file, node.line);
                    self.world.set(id, key.text().unwrap_or_default(), value, origin, place.overall);
                }
                Err(wrong) => work.problems.push(self.problem(place.file, wrong)),
            }
        }
    }

    /// What is there at the end, going through the states in order. The result says which entries have a say in what
    /// their object holds.
    fn settle(&mut self, work: &mut Work<'_>) -> Vec<bool> {
        let mut effects = vec![false; self.statuses.len()];
        let mut sayers: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for (place, entry) in self.places() {
            let Some(Status::Made(_, id)) = self.statuses.get(place.overall).cloned() else { continue };
            let (origin, state) = (self.origin(place.file, entry.line), self.state(place));
            let Some(object) = self.world.objects.get_mut(id.0) else { continue };
            let is_new = !object.alive;
            let says = sayers.entry(id).or_default();
            match state {
                State::Absent => {
                    object.alive = false;
                    says.clear();
                    continue;
                }
                State::Created if !is_new => continue,
                State::MustCreated if !is_new => {
                    let message = format!(
                        "this must be created and is there already, from {}; remove one or use state present",
                        object.origin
                    );
                    work.problems.push(FileProblem { origin, message });
                    continue;
                }
                State::Present | State::Created | State::MustCreated => {}
            }
            object.alive = true;
            says.push(place.overall);
            if is_new {
                object.origin = origin;
            }
        }
        for overall in sayers.into_values().flatten() {
            if let Some(effect) = effects.get_mut(overall) {
                *effect = true;
            }
        }
        effects
    }

    /// Gives every object the fields of the entries that have a say: first those that depend on nothing.
    fn fill(&mut self, effects: &[bool], work: &mut Work<'_>) {
        let identities: Vec<_> =
            self.world.objects.iter_mut().map(|object| std::mem::take(&mut object.fields)).collect();
        self.world.forget_fields();
        let mut says = Vec::new();
        for (place, entry) in self.places() {
            if let Some(Status::Made(_, id)) = self.statuses.get(place.overall)
                && effects.get(place.overall) == Some(&true)
            {
                says.push((place, entry, *id));
            }
        }
        // Identifiers were evaluated when the object was made out; all entries of an object agree on them.
        for (place, entry, id) in &says {
            for (key, node) in entry.identifiers {
                let name = key.text().unwrap_or_default();
                let known = identities.get(id.0).and_then(|fields| fields.get(name));
                if let Some(field) = known {
                    let origin = self.origin(place.file, node.line);
                    self.world.set(*id, name, field.value.clone(), origin, place.overall);
                }
            }
            // Mistakes in these were noted before.
            let mut again = Vec::new();
            let mut work = Work { budget: Budget::default(), problems: &mut again };
            self.set_attrs(*place, entry, *id, true, &mut work);
        }
        for (place, entry, id) in says {
            self.set_attrs(place, entry, id, false, work);
        }
    }

    fn finish(mut self, effects: &[bool]) -> World {
        let entries = self.statuses.iter().zip(effects).map(|(status, effect)| match status {
            Status::Made(model, id) => Taken { model: Arc::clone(model), object: effect.then_some(*id) },
            Status::LeftOut(model) => Taken { model: Arc::clone(model), object: None },
            Status::Waiting | Status::Failed => Taken { model: "".into(), object: None },
        });
        self.world.entries = entries.collect();
        self.world
    }
}
