list(APPEND plugin_libs PkgConfig::JANSSON PkgConfig::OPENSSL)
