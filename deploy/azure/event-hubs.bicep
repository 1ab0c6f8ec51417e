// A namespace of Event Hubs with a hub for the engine's events, and all that belongs to it.
// docs/event-hubs.md says how to deploy it and what to choose.
targetScope = 'resourceGroup'

@description('The name of the namespace, which is a part of its host name and so unique in Azure.')
@minLength(6)
@maxLength(50)
param namespaceName string

@description('The region.')
param location string = resourceGroup().location

@description('The tier. Basic has no further consumer groups, so it is not offered.')
@allowed([
  'Standard'
  'Premium'
])
param sku string = 'Standard'

@description('Throughput units (Standard) or processing units (Premium) to begin with.')
@minValue(1)
@maxValue(40)
param capacity int = 1

@description('Up to how many throughput units the namespace grows by itself; 0 for not at all. Standard only.')
@minValue(0)
@maxValue(40)
param autoInflateUpTo int = 0

@description('The name of the hub.')
param hubName string = 'retail-events'

@description('How many partitions the hub has. In the Standard tier this cannot be changed later.')
@minValue(1)
@maxValue(100)
param partitionCount int = 4

@description('How long events are kept, in hours: up to 168 in the Standard tier.')
@minValue(1)
@maxValue(2160)
param retentionHours int = 24

@description('The consumer group for the engine\'s `event_hubs` source.')
param consumerGroupName string = 'engine'

@description('Refuse connection strings: only Microsoft Entra ID gets in, and no policies are made.')
param entraOnly bool = false

@description('The object id of the principal that may send: an application, a managed identity or a user.')
param senderPrincipalId string = ''

@description('The object id of the principal that may receive.')
param receiverPrincipalId string = ''

@description('What those principals are.')
@allowed([
  'ServicePrincipal'
  'User'
  'Group'
])
param principalType string = 'ServicePrincipal'

@description('Addresses and CIDR ranges that may connect. With any of these, or of the subnets, all others are refused.')
param allowedAddresses string[] = []

@description('Resource ids of subnets with the service endpoint Microsoft.EventHub that may connect.')
param allowedSubnetIds string[] = []

@description('The resource id of a subnet for a private endpoint. With it, nothing comes in from the public network.')
param privateEndpointSubnetId string = ''

@description('The resource id of the private DNS zone `privatelink.servicebus.windows.net`, for the private endpoint.')
param privateDnsZoneId string = ''

@description('The resource id of an action group to tell; without it there are no alerts.')
param actionGroupId string = ''

@description('Tell when nothing came for so long, as an ISO 8601 duration such as PT15M. Empty for not at all.')
@allowed([
  ''
  'PT5M'
  'PT15M'
  'PT30M'
  'PT1H'
  'PT6H'
])
param silence string = ''

@description('The name of a Key Vault in this resource group that gets the sink\'s connection string as a secret.')
param keyVaultName string = ''

@description('The name of that secret.')
param secretName string = 'event-hubs-connection-string'

param tags object = {}

var grows = sku == 'Standard' && autoInflateUpTo > capacity
var isPrivate = !empty(privateEndpointSubnetId)
var isFenced = !empty(allowedAddresses) || !empty(allowedSubnetIds)
var keepsSecret = !empty(keyVaultName) && !entraOnly
var publicAccess = isPrivate && !isFenced ? 'Disabled' : 'Enabled'

// Built-in roles: Azure Event Hubs Data Sender, Azure Event Hubs Data Receiver.
var senderRoleId = '2b629674-e913-4c01-ae53-ef4638d8f975'
var receiverRoleId = 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde'

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: namespaceName
  location: location
  tags: tags
  sku: {
    name: sku
    tier: sku
    capacity: capacity
  }
  properties: {
    isAutoInflateEnabled: grows
    maximumThroughputUnits: grows ? autoInflateUpTo : 0
    minimumTlsVersion: '1.2'
    disableLocalAuth: entraOnly
    publicNetworkAccess: publicAccess
  }
}

resource networkRules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: publicAccess
    defaultAction: isFenced ? 'Deny' : 'Allow'
    trustedServiceAccessEnabled: isFenced
    ipRules: [
      for address in allowedAddresses: {
        ipMask: address
        action: 'Allow'
      }
    ]
    virtualNetworkRules: [
      for subnet in allowedSubnetIds: {
        subnet: {
          id: subnet
        }
        ignoreMissingVnetServiceEndpoint: false
      }
    ]
  }
}

resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: hubName
  properties: {
    partitionCount: partitionCount
    retentionDescription: {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: retentionHours
    }
  }
}

resource consumerGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: hub
  name: consumerGroupName
  properties: {}
}

// Policies of the hub and not of the namespace: a leaked key opens no other hub.
resource sender 'Microsoft.EventHub/namespaces/eventhubs/authorizationRules@2024-01-01' = if (!entraOnly) {
  parent: hub
  name: 'engine-send'
  properties: {
    rights: [
      'Send'
    ]
  }
}

// The service takes one change of a hub's policies at a time.
resource receiver 'Microsoft.EventHub/namespaces/eventhubs/authorizationRules@2024-01-01' = if (!entraOnly) {
  parent: hub
  name: 'engine-listen'
  dependsOn: [
    sender
  ]
  properties: {
    rights: [
      'Listen'
    ]
  }
}

resource senderRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(senderPrincipalId)) {
  name: guid(hub.id, senderPrincipalId, senderRoleId)
  scope: hub
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', senderRoleId)
    principalId: senderPrincipalId
    principalType: principalType
  }
}

resource receiverRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(receiverPrincipalId)) {
  name: guid(hub.id, receiverPrincipalId, receiverRoleId)
  scope: hub
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiverRoleId)
    principalId: receiverPrincipalId
    principalType: principalType
  }
}

resource privateEndpoint 'Microsoft.Network/privateEndpoints@2023-11-01' = if (isPrivate) {
  name: '${namespaceName}-private'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: privateEndpointSubnetId
    }
    privateLinkServiceConnections: [
      {
        name: 'namespace'
        properties: {
          privateLinkServiceId: namespace.id
          groupIds: [
            'namespace'
          ]
        }
      }
    ]
  }
}

resource privateDns 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2023-11-01' = if (isPrivate && !empty(privateDnsZoneId)) {
  parent: privateEndpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'servicebus'
        properties: {
          privateDnsZoneId: privateDnsZoneId
        }
      }
    ]
  }
}

resource keyVault 'Microsoft.KeyVault/vaults@2023-07-01' existing = if (keepsSecret) {
  name: keyVaultName
}

resource connectionString 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (keepsSecret) {
  parent: keyVault
  name: secretName
  properties: {
    // Keys are listed even where the secret is not made, so this has to be asked again.
    value: keepsSecret ? sender.listKeys().primaryConnectionString : ''
    contentType: 'text/plain'
  }
}

var alerts = [
  {
    name: 'throttled'
    description: 'More comes than the throughput units take: the sink waits and its buffer grows.'
    metric: 'ThrottledRequests'
    threshold: 0
    severity: 2
  }
  {
    name: 'quota-exceeded'
    description: 'A quota of the namespace is used up.'
    metric: 'QuotaExceededErrors'
    threshold: 0
    severity: 1
  }
  {
    name: 'server-errors'
    description: 'The service fails: events are sent again.'
    metric: 'ServerErrors'
    threshold: 10
    severity: 2
  }
  {
    name: 'user-errors'
    description: 'Requests are refused: a key, a role or the name of a hub is wrong.'
    metric: 'UserErrors'
    threshold: 10
    severity: 2
  }
]

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for alert in alerts: if (!empty(actionGroupId)) {
    name: '${namespaceName}-${alert.name}'
    location: 'global'
    tags: tags
    properties: {
      description: alert.description
      severity: alert.severity
      enabled: true
      scopes: [
        namespace.id
      ]
      evaluationFrequency: 'PT1M'
      windowSize: 'PT5M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: alert.name
            metricNamespace: 'Microsoft.EventHub/namespaces'
            metricName: alert.metric
            operator: 'GreaterThan'
            threshold: alert.threshold
            timeAggregation: 'Total'
          }
        ]
      }
      actions: [
        {
          actionGroupId: actionGroupId
        }
      ]
    }
  }
]

resource silenceAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(actionGroupId) && !empty(silence)) {
  name: '${namespaceName}-silence'
  location: 'global'
  tags: tags
  properties: {
    description: 'No event came to the hub.'
    severity: 2
    enabled: true
    scopes: [
      namespace.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: empty(silence) ? 'PT15M' : silence
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'silence'
          metricNamespace: 'Microsoft.EventHub/namespaces'
          metricName: 'IncomingMessages'
          operator: 'LessThan'
          threshold: 1
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [
      {
        actionGroupId: actionGroupId
      }
    ]
  }
}

@description('For `namespace:` of source and sink, with `entra:`.')
output namespaceHost string = '${namespaceName}.servicebus.windows.net'

@description('For `hub:`.')
output hub string = hub.name

@description('For `consumer_group:` of the source.')
output consumerGroup string = consumerGroup.name

@description('The policy whose key the sink signs with; `az eventhubs eventhub authorization-rule keys list` shows its connection string.')
output senderPolicy string = entraOnly ? '' : 'engine-send'

@description('The policy whose key the source signs with.')
output receiverPolicy string = entraOnly ? '' : 'engine-listen'
