//! Committed files that must agree with the code.

mod compose_mode_examples_are_valid;
mod conditions_are_documented;
mod crds_are_generated;
mod fields_are_documented;
mod imports_follow_the_map;
mod source_tree_follows_its_rules;
