"""Networks that were made small and cheap."""
