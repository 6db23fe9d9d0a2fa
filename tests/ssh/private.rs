//! Login shells and sudo, in mount namespaces with account files of their own.
