list(APPEND plugin_parts field)
