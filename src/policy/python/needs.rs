//! What a program reads, so that a question hands over no more than that.
//!
//! Must not know: how the data is had.

/// The parts of the scope that a program uses. More than it uses is slower, less would break it: where the source leaves
/// open what it reads, it counts as reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Groups of the user, direct and inherited.
    pub groups: bool,
    /// Authenticators of the user.
    pub authenticators: bool,
    /// Dates of the user.
    pub dates: bool,
    /// The HTTP request.
    pub http: bool,
    /// The client's address, or addresses at all.
    pub ip: bool,
    /// The target.
    pub object: bool,
    /// Objects in the context: the event, the flow plan, the pending user.
    pub objects: bool,
    /// Where the client's address is.
    pub geoip: bool,
    /// The autonomous system of the client's address.
    pub asn: bool,
    /// Other users.
    pub users: bool,
    /// Other policies.
    pub policies: bool,
    /// Patterns and slugs.
    pub text: bool,
    /// The logger.
    pub logger: bool,
    /// The operators that the interpreter does not have.
    pub format: bool,
    /// What the interpreter's `datetime` does not have.
    pub moments: bool,
    /// Modules that the interpreter does not have.
    pub modules: bool,
    /// Names that are refused.
    pub refused: bool,
}

impl Needs {
    /// Everything.
    pub const ALL: Self = Self {
        groups: true,
        authenticators: true,
        dates: true,
        http: true,
        ip: true,
        object: true,
        objects: true,
        geoip: true,
        asn: true,
        users: true,
        policies: true,
        text: true,
        logger: true,
        format: true,
        moments: true,
        modules: true,
        refused: true,
    };

    /// Counts a name, an attribute or a text that stands in the source.
    pub(super) fn count(&mut self, name: &str) {
        match name {
            "groups" | "ak_groups" | "all_groups" | "group_attributes" | "ak_is_group_member" => {
                self.groups = true;
            }
            "ak_user_has_authenticator" => self.authenticators = true,
            "date_joined" | "last_login" | "password_change_date" => self.dates = true,
            "http_request" => self.http = true,
            "ak_client_ip" | "ip_address" | "ip_network" | "ip_interface" => self.ip = true,
            "obj" => (self.object, self.objects) = (true, true),
            "flow_plan" | "pending_user" | "event" | "source" | "application" => self.objects = true,
            "geoip" => self.geoip = true,
            "asn" => self.asn = true,
            // A user found there may be asked for anything.
            "ak_user_by" => {
                (self.users, self.groups, self.authenticators, self.dates) = (true, true, true, true);
            }
            // The called policy may read anything.
            "ak_call_policy" => *self = Self { refused: self.refused, ..Self::ALL },
            // Which attribute is read is not to be seen.
            "getattr" | "items" | "values" | "vars" => {
                (self.groups, self.authenticators, self.dates, self.http) = (true, true, true, true);
                (self.object, self.objects, self.geoip, self.asn) = (true, true, true, true);
            }
            "regex_match" | "regex_replace" | "list_flatten" | "slugify" => self.text = true,
            "ak_logger" => self.logger = true,
            "format" => self.format = true,
            "resolve_dns" | "reverse_dns" | "ak_create_event" | "ak_create_jwt" | "ak_send_email"
            | "requests" => self.refused = true,
            _ => {}
        }
    }
}
