//! Questions and answers as messages.

use super::*;
