//! The hands behind one trait: they observe and apply, and know nothing of schedules or upgrades.
