list(APPEND plugin_libs PkgConfig::JANSSON PkgConfig::OPENSSL)
list(APPEND plugin_parts field)
