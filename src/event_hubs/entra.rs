//! Microsoft Entra ID: whom we are taken for, and by what.

use std::sync::Arc;

use azure_core::credentials::{Secret, TokenCredential};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientSecretCredential,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Microsoft Entra ID in place of a connection string. It needs the role `Azure Event Hubs Data
/// Sender` for a sink, `Azure Event Hubs Data Receiver` for a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entra {
    /// What proves who we are.
    pub credential: EntraCredential,
    /// The client id of the application or of a user-assigned identity, where there are several;
    /// `AZURE_CLIENT_ID` of the environment otherwise.
    pub client_id: Option<String>,
    /// The tenant; `AZURE_TENANT_ID` of the environment otherwise.
    pub tenant_id: Option<String>,
}

/// What proves who we are. All of them read the environment that the engine was started in, and
/// not `--env-file`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntraCredential {
    /// The first of these whose variables are set: `environment` (`AZURE_CLIENT_SECRET`),
    /// `workload_identity` (`AZURE_FEDERATED_TOKEN_FILE`), `managed_identity`
    /// (`IDENTITY_ENDPOINT`, `MSI_ENDPOINT`); else `azure_cli`.
    #[default]
    Auto,
    /// An application's secret: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    Environment,
    /// The identity of the machine, the container or the function in Azure.
    ManagedIdentity,
    /// A service account of Kubernetes that is federated with an identity.
    WorkloadIdentity,
    /// Whoever is signed in with `az login`.
    AzureCli,
}

/// Reads a variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Entra {
    /// The credential that the environment of this process gives.
    pub(crate) fn credential(&self) -> Result<Arc<dyn TokenCredential>, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let kind = self.kind(&variable);
        self.of_kind(kind, &variable).map_err(|reason| {
            let name = serde_json::to_value(kind).unwrap_or_default();
            format!("the credential `{}` cannot be used: {reason}", name.as_str().unwrap_or("auto"))
        })
    }

    /// Which one `auto` is.
    fn kind(&self, variable: Variable<'_>) -> EntraCredential {
        use EntraCredential::{Auto, AzureCli, Environment, ManagedIdentity, WorkloadIdentity};
        let is_set = |name: &str| variable(name).is_some();
        match self.credential {
            Auto if is_set("AZURE_CLIENT_SECRET") => Environment,
            Auto if is_set("AZURE_FEDERATED_TOKEN_FILE") => WorkloadIdentity,
            Auto if is_set("IDENTITY_ENDPOINT") || is_set("MSI_ENDPOINT") => ManagedIdentity,
            Auto => AzureCli,
            other => other,
        }
    }

    fn of_kind(
        &self,
        kind: EntraCredential,
        variable: Variable<'_>,
    ) -> Result<Arc<dyn TokenCredential>, String> {
        let text = |error: azure_core::Error| error.to_string();
        Ok(match kind {
            EntraCredential::Environment => self.application(variable)?,
            EntraCredential::WorkloadIdentity => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    client_id: self.client_id.clone(),
                    tenant_id: self.tenant_id.clone(),
                    ..Default::default()
                }))
                .map_err(text)?
            }
            EntraCredential::ManagedIdentity => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: self.client_id.clone().map(UserAssignedId::ClientId),
                    ..Default::default()
                }))
                .map_err(text)?
            }
            EntraCredential::AzureCli | EntraCredential::Auto => {
                AzureCliCredential::new(Some(AzureCliCredentialOptions {
                    tenant_id: self.tenant_id.clone(),
                    ..Default::default()
                }))
                .map_err(text)?
            }
        })
    }

    fn application(&self, variable: Variable<'_>) -> Result<Arc<dyn TokenCredential>, String> {
        let given = |setting: &Option<String>, name: &str| {
            setting.clone().or_else(|| variable(name)).ok_or_else(|| format!("`{name}` is not set"))
        };
        let tenant_id = given(&self.tenant_id, "AZURE_TENANT_ID")?;
        let client_id = given(&self.client_id, "AZURE_CLIENT_ID")?;
        let secret = Secret::new(given(&None, "AZURE_CLIENT_SECRET")?);
        let credential = ClientSecretCredential::new(&tenant_id, client_id, secret, None);
        Ok(credential.map_err(|error| error.to_string())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(credential: EntraCredential, set: &[&str]) -> EntraCredential {
        let entra = Entra { credential, ..Entra::default() };
        entra.kind(&|name| set.contains(&name).then(|| "x".to_owned()))
    }

    #[test]
    fn auto_is_what_the_environment_shows() {
        use EntraCredential::{Auto, AzureCli, Environment, ManagedIdentity, WorkloadIdentity};
        assert_eq!(kind(Auto, &["AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT"]), Environment);
        assert_eq!(kind(Auto, &["AZURE_FEDERATED_TOKEN_FILE"]), WorkloadIdentity);
        assert_eq!(kind(Auto, &["IDENTITY_ENDPOINT"]), ManagedIdentity);
        assert_eq!(kind(Auto, &[]), AzureCli);
        assert_eq!(kind(ManagedIdentity, &["AZURE_CLIENT_SECRET"]), ManagedIdentity);
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let only_tenant =
            |name: &str| (name == "AZURE_TENANT_ID").then(|| "00000000-0000".to_owned());
        let error = Entra::default().application(&only_tenant).err();
        assert_eq!(error.as_deref(), Some("`AZURE_CLIENT_ID` is not set"));
    }
}
