list(APPEND plugin_libs PkgConfig::OPENSSL)
