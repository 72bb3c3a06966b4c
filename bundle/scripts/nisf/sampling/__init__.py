"""A fitted scan read on any grid."""
